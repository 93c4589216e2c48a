import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import nodeNet from 'node:net'
import type { TLSSocket } from 'node:tls'

import test, { type ExecutionContext } from 'ava'
import { type UndiciConnectorOptions, type UndiciTarget, undiciConnector } from 'm-socket'
import net from 'm-socket/net'

import { blackhole } from '../support/blackhole.js'
import { certificate } from '../support/certificate.js'
import { inetAddressOf } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { KINDS, listening, portOf } from '../support/serving.js'
import { freePath } from '../support/unix.js'

/** Connects as undici does. */
async function connect(
  t: ExecutionContext,
  options: UndiciConnectorOptions,
  target: Partial<UndiciTarget>,
): Promise<nodeNet.Socket> {
  const connector = undiciConnector(options)
  return new Promise((resolve, reject) => {
    connector({ hostname: '127.0.0.1', protocol: 'http:', port: '', ...target }, (error, socket) => {
      if (error) return reject(error)
      t.teardown(() => void socket.destroy())
      return resolve(socket)
    })
  })
}

test('http_is_connected_by_a_socket_of_m-socket/net', async (t) => {
  const server = await listening(t, 'net', http.createServer())
  const socket = await connect(t, {}, { port: String(portOf(server)) })
  t.is(Object.getPrototypeOf(socket), net.Socket.prototype)
  t.is(socket.remotePort, portOf(server))
})

testWith(['openssl'], 'https_is_TLS_over_a_socket_of_Node_and_its_sessions_are_resumed', async (t) => {
  const server = await listening(t, 'net', KINDS['http2, secure']())
  const target = { protocol: 'https:', hostname: '127.0.0.1', host: 'localhost:1', port: String(portOf(server)) }
  const connector = undiciConnector({ ca: certificate().cert, allowH2: true })
  for (const isReused of [false, true]) {
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      connector(target, (error, its) => (error ? reject(error) : resolve(its as TLSSocket)))
    })
    t.teardown(() => void socket.destroy())
    t.is(socket.alpnProtocol, 'h2')
    t.true(socket.authorized)
    t.is(socket.isSessionReused(), isReused)
    if (!isReused) await once(socket, 'session')
  }
})

testWith(['openssl'], 'TLS_runs_over_a_connection_that_undici_has', async (t) => {
  const server = await listening(t, 'net', https.createServer(certificate()))
  const httpSocket = nodeNet.connect(portOf(server), '127.0.0.1')
  const target = { protocol: 'https:', servername: 'localhost', httpSocket }
  const socket = (await connect(t, { ca: certificate().cert }, target)) as TLSSocket
  t.is(socket.alpnProtocol, 'http/1.1')
})

test('a_Unix_socket_is_connected_to', async (t) => {
  const path = freePath(t)
  const server = http.createServer().listen(path)
  t.teardown(() => void server.close())
  await once(server, 'listening')
  const connected = once(server, 'connection')
  await connect(t, { socketPath: path }, {})
  await connected
  t.pass()
})

for (const protocol of ['http:', 'https:']) {
  test(`a_refused_connection_is_an_error: ${protocol}`, async (t) => {
    const server = await listening(t, 'net', http.createServer())
    const port = String(portOf(server))
    server.close()
    await once(server, 'close')
    await t.throwsAsync(connect(t, {}, { protocol, port }), { code: 'ECONNREFUSED' })
  })

  test(`connecting_takes_no_longer_than_the_timeout: ${protocol}`, async (t) => {
    const { port } = inetAddressOf(await blackhole(t, '127.0.0.1'))
    const error = await t.throwsAsync(connect(t, { timeout: 50 }, { protocol, port: String(port) }))
    t.is((error as NodeJS.ErrnoException).code, 'UND_ERR_CONNECT_TIMEOUT')
    t.is(error.name, 'ConnectTimeoutError')
  })
}

for (const options of [
  { timeout: -1 },
  { timeout: Number.NaN },
  { maxCachedSessions: -1 },
  { maxCachedSessions: 1.5 },
]) {
  test(`bad_options_are_refused: ${JSON.stringify(options)}`, (t) => {
    t.throws(() => undiciConnector(options), { code: 'ERR_OUT_OF_RANGE' })
  })
}
