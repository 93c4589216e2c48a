// What the programs that are their own servers share: listening on any port, closing, bodies, hashes, error codes.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'

export const host = '127.0.0.1'

/** Listens on any port of the loopback; resolves with the port. */
export async function listening(server, options = { port: 0, host, backlog: 2_048 }) {
  server.listen(options)
  await once(server, 'listening')
  return server.address().port
}

/** Closes `server`; resolves when it is closed, with the code of its error if it had one. */
export function closed(server) {
  return new Promise((resolve) => server.close((error) => resolve(error ? error.code : 'closed')))
}

/** The same bytes in each run, without a period that a lost or doubled block could hide in. */
export function body(length) {
  const bytes = Buffer.allocUnsafe(length)
  let state = 0x9e3779b9
  let at = 0
  for (; at + 4 <= length; at += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes.writeInt32LE(state | 0, at)
  }
  return bytes.fill(0x5a, at)
}

export const sha = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

/** The number of bytes of a stream and their hash, by its 'data' events. */
export function digest(stream) {
  const hash = createHash('sha256')
  let bytes = 0
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk) => {
      bytes += chunk.length
      hash.update(chunk)
    })
    stream.on('error', reject)
    stream.on('end', () => resolve({ bytes, sha: hash.digest('hex').slice(0, 16) }))
  })
}

/** Resolves when `condition()` is true: asked in each turn of the loop. */
export async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Names the events of `emitter` in `log`, in their order. */
export function record(emitter, names, log = []) {
  for (const name of names)
    emitter.on(name, (value) => log.push(typeof value === 'boolean' ? `${name} ${value}` : name))
  return log
}

/** A `net` server that feeds a server of node:http, which watches its connections from its 'listening' event on. */
export function feeding(httpServer, options) {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, ...options })
  server.on('listening', () => httpServer.emit('listening'))
  server.on('connection', (socket) => httpServer.emit('connection', socket))
  return server
}

/** Closes a server that feeds, and what it feeds; resolves as `closed`. */
export function closedWith(httpServer, server) {
  const over = closed(server)
  httpServer.close(() => {})
  return over
}
