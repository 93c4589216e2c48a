// A server of node:http behind HAProxy: it knows its clients' addresses, says how it is, and is replaced without a lost
// request. Try: node http-behind-haproxy.ts 8080

import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { type AddressInfo, BlockList } from 'node:net'
import process from 'node:process'

import { serve } from 'm-socket'

/** Milliseconds: until HAProxy has noticed that the server drains; until what is left then is closed. */
const [NOTICED, GRACE] = [2000, 20_000]
const [port = '8080'] = process.argv.slice(2)

/** The only peers whose headers are believed. */
const from = new BlockList()
from.addSubnet('127.0.0.0', 8)

let isDraining = false
const server = createServer(answer)
// Longer than HAProxy keeps an idle connection (pool-purge-delay): so it is HAProxy that closes it.
server.keepAliveTimeout = 60_000
// A whole request; HAProxy has read its head before (timeout http-request).
server.requestTimeout = 30_000
server.maxConnections = 2000

serve(server, { host: '127.0.0.1', port, proxyProtocol: { mode: 'require', from } })
server.on('listening', () => console.log(`Listening on port ${(server.address() as AddressInfo).port}`))
server.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
process.once('SIGTERM', drain)

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (isDraining) response.setHeader('Connection', 'close')
  if (request.url === '/health') {
    response.writeHead(isDraining ? 404 : 200).end()
    return
  }
  response.setHeader('Content-Type', 'text/plain')
  response.end(`${request.method} ${request.url} of ${request.socket.remoteAddress}, by process ${process.pid}\n`)
}

/** First the health check fails, while all is still served; then nothing is accepted any more. */
function drain(): void {
  isDraining = true
  setTimeout(() => {
    server.close(() => process.exit())
    setTimeout(() => server.closeAllConnections(), GRACE).unref()
  }, NOTICED)
}
