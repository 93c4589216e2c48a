import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { type TLSSocket, createServer } from 'node:tls'

import { connect, serve, toDuplex } from 'm-socket'

const [port = '5003', target = '5001'] = process.argv.slice(2)
const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem'), allowHalfOpen: true }
const server = createServer(options, forward)
serve(server, { port, keepAlive: true })
server.on('listening', () => console.log(`Listening on port ${(server.address() as AddressInfo).port}`))

async function forward(client: TLSSocket) {
  client.on('error', (error) => console.log(error.message))
  try {
    const upstream = await connect({ host: '127.0.0.1', port: target, connectTimeout: 2000 })
    await pipeline(client, toDuplex(upstream, { allowHalfOpen: true }), client)
  } catch {
    client.destroy()
  }
}
