// Servers of Node's that are served with PROXY headers.

import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import nodeNet, { type AddressInfo, type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import { text } from 'node:stream/consumers'

import { type ExecutionContext } from 'ava'
import { serve } from 'm-socket'

import { certificate } from '../support/certificate.js'
import { testWith } from '../support/programs.js'
import { closeAllAtEnd } from '../support/serving.js'

const LINE = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
const CLIENT = '192.0.2.1 IPv4 56324 198.51.100.7 IPv4 443'

/** What a socket says of its ends. */
function endsOf(socket: Socket | tls.TLSSocket): string {
  const { remoteAddress, remoteFamily, remotePort, localAddress, localFamily, localPort } = socket
  return [remoteAddress, remoteFamily, remotePort, localAddress, localFamily, localPort].join(' ')
}

async function served(
  t: ExecutionContext,
  server: Server,
  options: object = { proxyProtocol: 'require' },
): Promise<number> {
  closeAllAtEnd(t, server)
  serve(server, { host: '127.0.0.1', port: 0, ...options })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A connection that begins with a header, to which `rest` may be added in the same segment. */
async function behindHeader(t: ExecutionContext, port: number, rest = ''): Promise<Socket> {
  const socket = nodeNet.connect(port, '127.0.0.1')
  t.teardown(() => void socket.destroy())
  await once(socket, 'connect')
  socket.write(LINE + rest)
  return socket
}

testWith([], 'http: request_socket_has_the_addresses_of_the_client_for_all_requests', async (t) => {
  const server = http.createServer(({ socket }, response) => void response.end(endsOf(socket)))
  const port = await served(t, server)
  const request = (close: boolean) =>
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${close ? 'close' : 'keep-alive'}\r\n\r\n`
  const socket = await behindHeader(t, port, request(false) + request(true))
  const answer = await text(socket)
  t.is(answer.split(CLIENT).length - 1, 2, answer)
})

testWith([], 'http: a_request_without_a_header_is_reset', async (t) => {
  let requests = 0
  const port = await served(
    t,
    http.createServer(() => requests++),
  )
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => {
    http.get({ port, host: '127.0.0.1', agent: false }).on('error', resolve)
  })
  t.is(error.code, 'ECONNRESET')
  t.is(requests, 0)
})

testWith(['openssl'], 'https: request_socket_has_the_addresses_of_the_client', async (t) => {
  const server = https.createServer(certificate(), ({ socket }, response) => void response.end(endsOf(socket)))
  const port = await served(t, server)
  const secure = tls.connect({ socket: await behindHeader(t, port), rejectUnauthorized: false })
  secure.end('GET / HTTP/1.0\r\n\r\n')
  const answer = await text(secure)
  t.true(answer.endsWith(CLIENT), answer)
})

testWith(['openssl'], 'tls: secureConnection_has_the_addresses_of_the_client', async (t) => {
  const port = await served(
    t,
    tls.createServer(certificate(), (socket) => void socket.end(endsOf(socket))),
  )
  const secure = tls.connect({ socket: await behindHeader(t, port), rejectUnauthorized: false })
  t.is(await text(secure), CLIENT)
})

for (const [kind, isSecure] of [
  ['http2', false],
  ['http2, secure', true],
] as const) {
  testWith(['openssl'], `${kind}: session_socket_has_the_addresses_of_the_client`, async (t) => {
    const answer = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void =>
      void response.end(endsOf(request.stream.session!.socket as Socket))
    const server = isSecure ? http2.createSecureServer(certificate(), answer) : http2.createServer(answer)
    const port = await served(t, server as unknown as Server)
    const plain = await behindHeader(t, port)
    const session = http2.connect(`${isSecure ? 'https' : 'http'}://localhost`, {
      createConnection: () =>
        isSecure ? tls.connect({ socket: plain, rejectUnauthorized: false, ALPNProtocols: ['h2'] }) : plain,
    })
    t.teardown(() => session.destroy())
    t.is(await text(session.request()), CLIENT)
  })
}

testWith([], 'http: bad_options_are_refused', (t) => {
  t.throws(() => serve(http.createServer(), { port: 0, proxyProtocol: 'on' as never }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /options\.proxyProtocol/,
  })
})
