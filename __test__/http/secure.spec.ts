import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import nodeNet from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import tls, { type TLSSocket } from 'node:tls'

import type { ExecutionContext } from 'ava'

import { certificate } from '../support/certificate.js'
import { testWith } from '../support/programs.js'
import { KINDS, WAYS, type Way, curl, listening, portOf } from '../support/serving.js'
import { temporaryDirectory } from '../support/unix.js'
import { until } from '../support/waiting.js'

/** The certificate as a file, for curl. */
function certificateFile(t: ExecutionContext): string {
  const path = join(temporaryDirectory(t), 'certificate.pem')
  writeFileSync(path, certificate().cert)
  return path
}

for (const way of Object.keys(WAYS) as Way[]) {
  testWith(['curl', 'openssl'], `curl_talks_https: ${way}`, async (t) => {
    const server = await listening(
      t,
      way,
      https.createServer(certificate(), ({ socket }, response) => {
        t.true((socket as TLSSocket).encrypted)
        t.is(socket.remoteAddress, '127.0.0.1')
        response.end('hello ')
      }),
    )
    const url = `https://localhost:${portOf(server)}/`
    const resolve = ['--ipv4', '--http1.1', '--cacert', certificateFile(t)]
    t.is(await curl(...resolve, url, url), 'hello hello ')
    const closed = new Promise((done) => void server.close(done))
    t.is(await closed, undefined)
  })

  testWith(['curl', 'openssl'], `curl_talks_HTTP/2_over_TLS: ${way}`, async (t) => {
    const server = await listening(t, way, KINDS['http2, secure']())
    const url = `https://localhost:${portOf(server)}/`
    const args = ['--ipv4', '--http2', '--cacert', certificateFile(t), '--write-out', ' %{http_version}']
    t.is(await curl(...args, url), 'hello 2')
  })

  testWith(['curl'], `curl_talks_HTTP/2_without_TLS: ${way}`, async (t) => {
    const server = await listening(t, way, KINDS.http2())
    const args = ['--http2-prior-knowledge', '--write-out', ' %{http_version}']
    t.is(await curl(...args, `http://127.0.0.1:${portOf(server)}/`), 'hello 2')
  })

  for (const kind of ['http2', 'http2, secure'] as const) {
    testWith(['openssl'], `an_HTTP/2_client_of_Node_has_many_streams: ${kind} by ${way}`, async (t) => {
      const server = KINDS[kind]()
      server.removeAllListeners('request')
      server.on('stream', (stream: http2.ServerHttp2Stream) => {
        stream.respond()
        stream.pipe(stream)
      })
      await listening(t, way, server)
      const scheme = kind === 'http2' ? 'http' : 'https'
      const client = http2.connect(`${scheme}://127.0.0.1:${portOf(server)}`, { ca: certificate().cert })
      t.teardown(() => client.destroy())
      const bodies = Array.from({ length: 8 }, (_, at) => String(at % 10).repeat(500_000))
      const answers = bodies.map(async (body) => {
        const stream = client.request({ ':method': 'POST' })
        stream.end(body)
        return (await text(stream)) === body
      })
      t.true((await Promise.all(answers)).every(Boolean))
      client.close()
      await once(client, 'close')
      await new Promise<unknown>((resolve) => void server.close(resolve))
      t.false(server.listening)
    })
  }

  testWith(['openssl'], `a_session_is_resumed: ${way}`, async (t) => {
    const server = await listening(t, way, KINDS.tls())
    const options = { port: portOf(server), host: 'localhost', family: 4, ca: certificate().cert }
    const first = tls.connect(options as tls.ConnectionOptions)
    const [[session]] = (await Promise.all([once(first, 'session'), text(first)])) as [[Buffer], string]
    const second = tls.connect({ ...options, session } as tls.ConnectionOptions)
    await once(second, 'secureConnect')
    t.true(second.isSessionReused())
    t.is(await text(second), 'hello')
  })

  testWith(['openssl'], `garbage_in_place_of_TLS_is_a_tlsClientError: ${way}`, async (t) => {
    const server = await listening(t, way, KINDS.https())
    const failed = once(server, 'tlsClientError')
    const client = nodeNet.connect(portOf(server), '127.0.0.1')
    client.on('error', () => {})
    t.teardown(() => void client.destroy())
    client.write('GET / HTTP/1.1\r\n\r\n')
    const [error, socket] = (await failed) as [NodeJS.ErrnoException, TLSSocket]
    t.regex(error.code!, /^ERR_SSL_/)
    await until(() => socket.destroyed)
    await new Promise((resolve) => void server.close(resolve))
    t.false(server.listening)
  })

  testWith(['openssl'], `a_client_that_is_cut_in_the_handshake_leaves_nothing: ${way}`, async (t) => {
    const server = await listening(t, way, KINDS.https())
    server.on('tlsClientError', () => {})
    const connected = once(server, 'connection')
    const client = nodeNet.connect(portOf(server), '127.0.0.1')
    client.on('error', () => {})
    await connected
    client.resetAndDestroy()
    await new Promise((resolve) => void server.close(resolve))
    t.false(server.listening)
  })

  testWith(['openssl'], `a_handshake_that_takes_too_long_is_ended: ${way}`, async (t) => {
    const server = tls.createServer({ ...certificate(), handshakeTimeout: 100 })
    await listening(t, way, server)
    const failed = once(server, 'tlsClientError')
    const client = nodeNet.connect(portOf(server), '127.0.0.1')
    client.on('error', () => {}).resume()
    t.teardown(() => void client.destroy())
    t.is(((await failed)[0] as NodeJS.ErrnoException).code, 'ERR_TLS_HANDSHAKE_TIMEOUT')
    await until(() => client.destroyed || client.readableEnded)
  })
}
