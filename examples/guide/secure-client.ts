import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'

import { connect, toNetSocket } from 'm-socket'

const connection = await connect({ host: 'localhost', port: process.argv[2] ?? 5003, connectTimeout: 2000 })
const secure = connectTls({ socket: toNetSocket(connection), host: 'localhost', ca: readFileSync('cert.pem') })
await once(secure, 'secureConnect')
console.log(`${secure.getProtocol()}, certificate of ${secure.getPeerCertificate().subject.CN}`)

process.stdin.pipe(secure)
for await (const line of createInterface({ input: secure })) console.log(line)
