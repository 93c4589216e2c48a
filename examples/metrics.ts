// An echo server on port 5004 with metrics for Prometheus, at http://127.0.0.1:9104/metrics or where METRICS_PORT says.

import { subscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import process from 'node:process'

import { type Connection, listen, serve as serveHttp } from 'm-socket'
import { Counter, Gauge, register } from 'prom-client'

import { serve } from './cli.js'

const COUNTERS = {
  accepted: ['connections_accepted', 'Connections accepted'],
  refused: ['connections_refused', 'Connections closed before they were open'],
  acceptPauses: ['accept_pauses', 'Pauses of accepting for want of descriptors or memory'],
  bytesRead: ['read_bytes', 'Bytes received'],
  bytesWritten: ['written_bytes', 'Bytes that the kernel has taken to send'],
} as const
const GAUGES = {
  open: ['connections_open', 'Connections that are open'],
  paused: ['connections_paused', 'Connections that are not read from'],
  queued: ['queued_bytes', 'Bytes in the send queues'],
} as const

const server = serve('metrics', 5004, (address) => listen({ ...address, socket: { data: echo } }))
/** What a scrape reports, all of one moment. */
let stats = server.stats()

for (const [field, [name, help]] of entries(COUNTERS)) {
  const collect = function (this: Counter) {
    this.reset()
    this.inc(stats[field])
  }
  new Counter({ name: `m_socket_${name}_total`, help, collect })
}
for (const [field, [name, help]] of entries(GAUGES)) {
  const collect = function (this: Gauge) {
    this.set(stats[field])
  }
  new Gauge({ name: `m_socket_${name}`, help, collect })
}

const [name, help] = ['m_socket_connections_closed_total', 'Connections closed, by the code of the error']
const closed = new Counter({ name, help, labelNames: ['reason'] })
subscribe('m-socket.connection.close', (message) => {
  const { connection, error } = message as { connection: Connection; error?: NodeJS.ErrnoException }
  if (connection.server === server) closed.inc({ reason: error ? (error.code ?? error.name) : 'none' })
})

const web = createServer(async ({ url }, response) => {
  if (url !== '/metrics') return response.writeHead(404).end()
  stats = server.stats()
  response.setHeader('content-type', register.contentType).end(await register.metrics())
})
serveHttp(web, { host: '127.0.0.1', port: Number(process.env['METRICS_PORT'] ?? 9104) }).on('listening', () => {
  console.log(`Metrics at http://127.0.0.1:${(web.address() as { port: number }).port}/metrics`)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => web.close())

/** A peer that does not read is closed. */
function echo(connection: Connection, chunk: Buffer): void {
  if (connection.write(chunk) < chunk.length) connection.terminate()
}

function entries<T extends object>(object: T): [keyof T, T[keyof T]][] {
  return Object.entries(object) as [keyof T, T[keyof T]][]
}
