// node:http, node:https or node:tls on listen() of their own. --own: the same server on our listener, by serve().

import { readFileSync } from 'node:fs'
import { type RequestListener, createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import process from 'node:process'
import { createServer as createTls } from 'node:tls'

import * as own from 'm-socket'

import { announce, has } from './support/control.js'
import { serve } from './support/stream.js'

const BODY = 'Hello, world!\n'

const hello: RequestListener = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': BODY.length })
  response.end(BODY)
}

const server = create(process.argv[2])
const where = { host: '127.0.0.1', port: 0, backlog: 4096 }

server.once('listening', () => announce((server.address() as AddressInfo).port))
if (has('--own')) (own as unknown as { serve(server: Server, options: object): unknown }).serve(server, where)
else server.listen(where)

function create(protocol: string | undefined): Server {
  if (protocol === 'http') return createHttp(hello)
  if (protocol === 'https') return createHttps(identity(), hello)
  return createTls({ ...identity(), allowHalfOpen: true, noDelay: true } as object, serve)
}

function identity(): { key: Buffer; cert: Buffer } {
  const read = (name: string): Buffer => readFileSync(new URL(`../tls/${name}.pem`, import.meta.url))
  return { key: read('key'), cert: read('cert') }
}
