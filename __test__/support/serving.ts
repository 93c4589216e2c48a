import { execFile } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net'
import tls from 'node:tls'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'
import { serve } from 'm-socket'

import { certificate } from './certificate.js'

/** How a server listens: by Node's own `listen`, or by ours. */
export const WAYS = {
  net: <S extends Server>(server: S, options: ListenOptions): S => server.listen(options),
  'm-socket': serve,
} as const

export type Way = keyof typeof WAYS

/** A server of each kind that answers `hello`, and the beginning of its URLs. */
export const KINDS = {
  http: () => http.createServer((_, response) => response.end('hello')),
  https: () => https.createServer(certificate(), (_, response) => response.end('hello')),
  http2: () => http2.createServer((_, response) => response.end('hello')),
  'http2, secure': () => http2.createSecureServer(certificate(), (_, response) => response.end('hello')),
  tls: () => tls.createServer(certificate(), (socket) => socket.on('error', () => {}).end('hello')),
} as const

/** Listens on a free port of the loopback; at the end of the test the server and its connections are closed. */
export async function listening<S extends Server>(t: ExecutionContext, way: Way, server: S): Promise<S> {
  closeAllAtEnd(t, server)
  WAYS[way](server, { host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  return server
}

export function closeAllAtEnd(t: ExecutionContext, server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  t.teardown(() => {
    if (server.listening) server.close()
    for (const socket of sockets) socket.destroy()
  })
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/** Runs curl(1), and returns what it prints. */
export async function curl(...args: readonly string[]): Promise<string> {
  const options = { maxBuffer: 10_000_000 }
  return (await promisify(execFile)('curl', ['--silent', '--show-error', '--max-time', '60', ...args], options)).stdout
}
