// A file by HTTP. Usage: send-file.js FILE MODE. send-file: our sendFile. pipe: createReadStream().pipe() of node:net.
// wait: our sendFile without a look into the page cache. Answers `delay` on stdin with the delay of the loop since the
// last question, in milliseconds.

import { once } from 'node:events'
import { createReadStream, openSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import process from 'node:process'
import { createInterface } from 'node:readline'

import { listen } from 'm-socket'
import * as native from 'm-socket/native'

const [file, mode] = process.argv.slice(2) as [string, string]
const fd = openSync(file, 'r')
const head = `HTTP/1.0 200 OK\r\nContent-Length: ${statSync(file).size}\r\n\r\n`

/** Milliseconds between two measurements; part of each delay. */
const RESOLUTION = 1
const delay = monitorEventLoopDelay({ resolution: RESOLUTION })

const port = mode === 'pipe' ? await pipes() : sends()
process.stdout.write(`${port}\n`)
for await (const line of createInterface(process.stdin)) {
  if (line !== 'delay') continue
  const inMilliseconds = [50, 99, 100].map((percentile) => delay.percentile(percentile) / 1e6)
  process.stdout.write(`${JSON.stringify(inMilliseconds)}\n`)
  // The timer of the measurement takes CPU: it begins with the first question.
  delay.enable()
  delay.reset()
}
process.exit()

function sends(): number {
  const server = listen({
    host: '127.0.0.1',
    port: 0,
    socket: {
      async data(connection) {
        connection.write(head)
        const sent = connection.sendFile(fd)
        const { handle } = connection.socket as unknown as { readonly handle: number }
        if (mode === 'wait') native.allowFileWaits(handle)
        connection.end()
        await sent
      },
    },
  })
  return server.port!
}

async function pipes(): Promise<number> {
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(head)
      createReadStream(file).pipe(socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
