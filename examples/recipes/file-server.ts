// A file server of HTTP/1.1: GET and HEAD, ranges, keep-alive. Try: node file-server.ts public 8080

import { type FileHandle, constants, open, readlink, realpath } from 'node:fs/promises'
import { STATUS_CODES } from 'node:http'
import { extname, join, normalize } from 'node:path'
import process from 'node:process'

import { type Connection, listen } from 'm-socket'

type Found = { file: FileHandle; size: number; type: string }
const TYPES: Record<string, string> = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' }
/** What a request has after which the connection ends. A body is not read: it would be taken for the next request. */
const LAST = /^(\S+ \S+ HTTP\/1\.0|connection:.*close|content-length:|transfer-encoding:)/im
const [folder = '.', port = '8080'] = process.argv.slice(2)
const root = join(await realpath(folder), '/')
const fail = (connection: Connection, { code }: NodeJS.ErrnoException): unknown =>
  code === 'ERR_UNEXPECTED_END' ? connection.end() : connection.terminate()
const server = listen({ port, maxConnections: 1000, idleTimeout: 30_000, socket: { open: talk, error: fail } })
console.log(`Serving ${root} on port ${server.port}`)
process.once('SIGTERM', () => void server.close({ end: true, timeout: 10_000 }))

async function talk(connection: Connection): Promise<void> {
  for (let goesOn = true; goesOn;) {
    const late = setTimeout(() => connection.shutdown('both'), 15_000)
    const head = String(await connection.readUntil('\r\n\r\n', { limit: 8192 }).finally(() => clearTimeout(late)))
    const [, method = '', target = ''] = /^(GET|HEAD) (\/\S*) HTTP\/1\.[01]\r\n/.exec(head) ?? []
    goesOn = method !== '' && !LAST.test(head)
    const fields = [`Connection: ${goesOn ? 'keep-alive' : 'close'}`]
    const found = method && (await find(target).catch(() => undefined))
    if (found) await send(connection, found, head, fields).finally(() => found.file.close())
    else await reply(connection, method ? 404 : 405, 'Content-Length: 0', 'Allow: GET, HEAD', ...fields)
  }
  connection.shutdown('both') // behind the answer
}

async function send(connection: Connection, { file, size, type }: Found, head: string, fields: string[]) {
  const [, first, last] = (!/^if-range:/im.test(head) && /^range:\s*bytes=(?!-\s)(\d*)-(\d*)\s*$/im.exec(head)) || []
  const start = first ? Number(first) : last ? Math.max(0, size - Number(last)) : 0
  const end = first && last ? Math.min(Number(last), size - 1) : size - 1
  if (first !== undefined) fields.push(`Content-Range: bytes ${start > end ? '*' : `${start}-${end}`}/${size}`)
  if (start > end && first !== undefined) return reply(connection, 416, 'Content-Length: 0', ...fields)
  fields.push('Accept-Ranges: bytes', `Content-Type: ${type}`, `Content-Length: ${end - start + 1}`)
  await reply(connection, first === undefined ? 200 : 206, ...fields)
  if (head.startsWith('HEAD') || end < start) return
  if ((await connection.sendFile(file, { start, end })) <= end - start) connection.terminate() // the file has shrunk
}

function reply(connection: Connection, status: number, ...fields: string[]): Promise<void> {
  return connection.writeAll([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields, '', ''].join('\r\n'))
}

/** Undefined if there is no such file in the folder: where a link leads is known from what has been opened. */
async function find(target: string): Promise<Found | undefined> {
  const path = normalize(decodeURIComponent(target.split('?')[0]!)).replace(/\/$/, '/index.html')
  const file = await open(join(root, path), constants.O_RDONLY | constants.O_NONBLOCK) // no '..' is left in the path
  const [at, stats] = await Promise.all([readlink(`/proc/self/fd/${file.fd}`), file.stat()])
  if (at.startsWith(root) && !at.includes('/.', root.length - 1) && stats.isFile())
    return { file, size: stats.size, type: TYPES[extname(at)] ?? 'application/octet-stream' }
  await file.close()
}
