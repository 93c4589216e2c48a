// A TLS server that lets in clients with a certificate of our own authority, and answers each of their lines. SIGHUP reads
// the certificates again. Try: node tls.ts 8443

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import process from 'node:process'
import { type TLSSocket, createServer } from 'node:tls'

import { serve } from 'm-socket'

/** Characters of a line; milliseconds without a byte, and until the connections that are left at the end are closed. */
const [LIMIT, IDLE, GRACE] = [1024, 60_000, 5000]
const [port = '8443'] = process.argv.slice(2)

const clients = new Set<TLSSocket>()
const mutual = { requestCert: true, rejectUnauthorized: true } // without it clients need no certificate
const server = createServer({ ...certificates(), ...mutual, handshakeTimeout: 10_000 }, (socket) => {
  clients.add(socket.on('close', () => clients.delete(socket)))
  socket.setTimeout(IDLE, () => socket.destroy())
  talk(socket).catch((error: Error) => socket.destroy(error))
  socket.on('error', (error) => console.error(socket.remoteAddress, error.message))
})
server.maxConnections = 1000
server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => console.error(socket.remoteAddress, error.code))
serve(server, { port })
server.on('listening', () => console.log(`Listening on port ${(server.address() as AddressInfo).port}`))

process.on('SIGHUP', () => {
  try {
    server.setSecureContext(certificates())
  } catch (error) {
    console.error((error as Error).message) // the old ones stay
  }
})
process.once('SIGTERM', () => {
  server.close()
  for (const client of clients) client.end()
  setTimeout(() => clients.forEach((client) => client.destroy()), GRACE).unref()
})

function certificates() {
  return { key: readFileSync('server.key'), cert: readFileSync('server.crt'), ca: readFileSync('ca.crt') }
}

async function talk(socket: TLSSocket): Promise<void> {
  const name = socket.getPeerCertificate().subject.CN
  let rest = ''
  for await (const text of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    const lines = `${rest}${text}`.split('\n')
    rest = lines.pop()!
    if (rest.length > LIMIT) throw new RangeError(`more than ${LIMIT} characters without an end of the line`)
    for (const line of lines) {
      if (line.trim() === 'quit') return void socket.end(`good-bye, ${name}\n`).resume()
      if (!socket.write(`${name}: ${line}\n`)) await once(socket, 'drain')
    }
  }
}
