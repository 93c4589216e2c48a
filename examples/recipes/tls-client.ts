// A TLS client with a certificate of its own: sends its standard input, and prints what comes back.
// Try: node tls-client.ts localhost 8443 alice

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import process from 'node:process'
import { pipeline } from 'node:stream/promises'
import { connect as startTls } from 'node:tls'

import { connect, toNetSocket } from 'm-socket'

/** Milliseconds to connect, and for the handshake. */
const PATIENCE = 5000
const [host = 'localhost', port = '8443', name = 'alice'] = process.argv.slice(2)

try {
  const connection = await connect({ host, port, connectTimeout: PATIENCE, userTimeout: 20_000 })
  const socket = startTls({
    socket: toNetSocket(connection),
    ...(isIP(host) ? { host } : { servername: host }), // the certificate of the server has to name it
    ca: readFileSync('ca.crt'), // instead of the authorities that Node trusts
    key: readFileSync(`${name}.key`),
    cert: readFileSync(`${name}.crt`),
  })
  await once(socket, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE) })
  console.error(`${socket.getProtocol()}, the server is ${socket.getPeerCertificate().subject.CN}`)
  await Promise.all([pipeline(process.stdin, socket), pipeline(socket, process.stdout)])
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
