// Headers as HAProxy, nginx and curl write them, and ours as HAProxy and nginx read them.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import nodeNet, { type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'

import type { ExecutionContext } from 'ava'
import { type ConnectOptions, type ProxyHeader, connect, serve } from 'm-socket'

import { haproxy, nginx } from '../support/haproxy.js'
import { testWith } from '../support/programs.js'
import { type Seen, type Watched, watchedServer } from '../support/proxy-headers.js'
import { closeAllAtEnd, curl } from '../support/serving.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

/** Says something through a proxy, and returns what the server is given of that connection, which has ended by then. */
async function through(t: ExecutionContext, socket: Socket | tls.TLSSocket, { seen }: Watched): Promise<Seen> {
  t.teardown(() => void socket.destroy())
  await once(socket, socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect')
  const { localAddress, localFamily, localPort } = socket
  socket.end('Hello')
  const source = `${localAddress} ${localFamily} ${localPort}`
  await until(() => seen.some((it) => it.source === source && it.isClosed))
  const found = seen.find((it) => it.source === source)!
  t.is(found.text, 'Hello')
  return found
}

const plain = (port: number): Socket => nodeNet.connect(port, '127.0.0.1')

const secure = (port: number): tls.TLSSocket =>
  tls.connect({ port, host: '127.0.0.1', servername: 'example.org', ALPNProtocols: ['m'], rejectUnauthorized: false })

testWith(['haproxy'], 'HAProxy_writes_version_1_and_2', async (t) => {
  for (const [option, version] of [
    ['send-proxy', 1],
    ['send-proxy-v2', 2],
  ] as const) {
    const watched = watchedServer(t)
    const { port } = await haproxy(t, { server: `127.0.0.1:${watched.server.port} ${option}` })
    const { proxy, destination } = await through(t, plain(port), watched)
    t.is(proxy!.version, version)
    t.is(proxy!.command, 'PROXY')
    t.is(destination, `127.0.0.1 IPv4 ${port}`)
  }
})

testWith(['haproxy'], 'HAProxy_writes_to_a_Unix_socket_and_of_IPv6', async (t) => {
  const watched = watchedServer(t, { path: freePath(t) })
  const { port } = await haproxy(t, {
    bind: '\n bind [::1]:$PORT',
    server: `unix@${watched.server.path} send-proxy-v2`,
  })
  const four = await through(t, plain(port), watched)
  t.is(four.proxy!.source && 'family' in four.proxy!.source ? four.proxy!.source.family : '', 'IPv4')
  const six = await through(t, nodeNet.connect(port, '::1'), watched)
  t.is(six.destination, `::1 IPv6 ${port}`)
})

testWith(['haproxy', 'openssl'], 'HAProxy_writes_what_it_knows_of_TLS', async (t) => {
  for (const option of ['send-proxy-v2-ssl', 'send-proxy-v2-ssl-cn']) {
    const watched = watchedServer(t)
    const { port } = await haproxy(t, {
      bind: 'ssl crt $PEM',
      server: `127.0.0.1:${watched.server.port} ${option}`,
    })
    const { ssl } = (await through(t, secure(port), watched)).proxy!
    t.is(ssl!.client, 1)
    t.is(ssl!.version, 'TLSv1.3')
  }
})

testWith(['haproxy', 'openssl'], 'HAProxy_writes_each_of_its_options', async (t) => {
  const watched = watchedServer(t)
  const options = 'ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id'
  const { port } = await haproxy(t, {
    bind: 'ssl crt $PEM alpn m',
    server: `127.0.0.1:${watched.server.port} send-proxy-v2 proxy-v2-options ${options}`,
    more: ['unique-id-format id-%ci-%cp'],
  })
  const { proxy } = await through(t, secure(port), watched)
  const { ssl, ...rest } = proxy!
  const source = rest.source as AddressInfo
  t.deepEqual(
    { ...rest, source: undefined },
    {
      version: 2,
      command: 'PROXY',
      source: undefined,
      destination: { address: '127.0.0.1', family: 'IPv4', port },
      alpn: 'm',
      authority: 'example.org',
      uniqueId: Buffer.from(`id-127.0.0.1-${source.port}`),
      crc32c: true,
    },
  )
  t.deepEqual([ssl!.client, ssl!.version], [1, 'TLSv1.3'])
  t.regex(ssl!.cipher!, /^TLS_[A-Z0-9_]+$/)
  t.regex(ssl!.keyAlg!, /^(EC|RSA)\d+$/)
  t.regex(ssl!.sigAlg!, /SHA256/)
})

testWith(['haproxy'], 'health_checks_of_HAProxy_are_of_its_own', async (t) => {
  const watched = watchedServer(t)
  const server = `127.0.0.1:${watched.server.port} send-proxy-v2 check check-send-proxy inter 50`
  await haproxy(t, { server })
  const isLocal = ({ proxy }: Seen): boolean => proxy!.command === 'LOCAL'
  await until(() => watched.seen.some(isLocal))
  t.regex(watched.seen.find(isLocal)!.source, /^127\.0\.0\.1 IPv4 \d+$/)
})

testWith(['haproxy'], 'HAProxy_writes_for_each_request_of_a_server_of_node_http', async (t) => {
  const server = http.createServer(({ socket }, response) => {
    response.end(`${socket.remoteAddress} ${socket.remotePort}`)
  })
  closeAllAtEnd(t, server)
  serve(server, { host: '127.0.0.1', port: 0, proxyProtocol: 'require' })
  await once(server, 'listening')
  const { port } = await haproxy(t, {
    mode: 'http',
    server: `127.0.0.1:${(server.address() as AddressInfo).port} send-proxy-v2`,
  })
  for (let count = 0; count < 5; count++) {
    const socket = plain(port)
    await once(socket, 'connect')
    const { localPort } = socket
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    t.true((await text(socket)).endsWith(`127.0.0.1 ${localPort}`))
  }
})

testWith(['nginx', 'nginx stream'], 'nginx_writes_version_1', async (t) => {
  const watched = watchedServer(t)
  const { port } = await nginx(t, 'stream', [
    'listen 127.0.0.1:$PORT;',
    'listen [::1]:$PORT;',
    `proxy_pass 127.0.0.1:${watched.server.port};`,
    'proxy_protocol on;',
  ])
  const { proxy, destination } = await through(t, plain(port), watched)
  t.is(proxy!.version, 1)
  t.is(destination, `127.0.0.1 IPv4 ${port}`)
  t.is((await through(t, nodeNet.connect(port, '::1'), watched)).destination, `::1 IPv6 ${port}`)
})

testWith(['curl'], 'curl_writes_version_1', async (t) => {
  const server = http.createServer(({ socket }, response) => {
    response.end(`${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`)
  })
  closeAllAtEnd(t, server)
  serve(server, { host: '127.0.0.1', port: 0, proxyProtocol: 'require' })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/`
  t.regex(await curl('--haproxy-protocol', url), new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}$`))
  // From curl 8.2 on.
  if (!execFileSync('curl', ['--help', 'all'], { encoding: 'utf8' }).includes('--haproxy-clientip')) return
  t.regex(await curl('--haproxy-clientip', '192.0.2.1', url), /^192\.0\.2\.1 /)
})

const inet = (address: string, port: number) =>
  ({ address, family: address.includes(':') ? 'IPv6' : 'IPv4', port }) as const

const FOUR = { source: inet('192.0.2.1', 56324), destination: inet('198.51.100.7', 443) }
const SIX = { source: inet('2001:db8::1', 1), destination: inet('2001:db8::2', 65535) }

const request = async (port: number, proxyProtocol: ProxyHeader): Promise<string> => {
  const client = await connect({
    host: '127.0.0.1',
    port,
    proxyProtocol,
    socket: { open: (connection) => connection.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n') },
  } as ConnectOptions<undefined>)
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(chunk)
  client.end()
  return Buffer.concat(chunks).toString().split('\r\n\r\n').at(-1)!.trim()
}

testWith(['haproxy'], 'HAProxy_reads_what_is_written_here', async (t) => {
  const format = '%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]'
  const { port } = await haproxy(t, {
    bind: 'accept-proxy',
    mode: 'http',
    server: '127.0.0.1:1',
    more: [`http-request return status 200 content-type text/plain lf-string "${format}"`],
  })
  t.is(await request(port, { version: 1, command: 'PROXY', ...FOUR }), '192.0.2.1 56324 198.51.100.7 443')
  t.is(await request(port, { version: 1, command: 'PROXY', ...SIX }), '2001:db8::1 1 2001:db8::2 65535')
  t.is(await request(port, { version: 2, command: 'PROXY', ...SIX }), '2001:db8::1 1 2001:db8::2 65535')
  t.regex(
    await request(port, { version: 2, command: 'LOCAL' }),
    new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}$`),
  )
  t.regex(
    await request(port, { version: 1, command: 'LOCAL' }),
    new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port}$`),
  )
  const full: ProxyHeader = {
    version: 2,
    command: 'PROXY',
    ...FOUR,
    alpn: 'h2',
    authority: 'example.org',
    uniqueId: Buffer.from('an-id'),
    ssl: { client: 1, verify: 0, version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' },
    netns: 'ns',
    crc32c: true,
    tlvs: [{ type: 0xe0, value: Buffer.from('custom') }],
  }
  t.is(await request(port, full), '192.0.2.1 56324 198.51.100.7 443 example.org an-id')
})

testWith(['nginx'], 'nginx_reads_what_is_written_here', async (t) => {
  const names = ['addr', 'port', 'server_addr', 'server_port'].map((name) => `$proxy_protocol_${name}`)
  const { port } = await nginx(t, 'http', [
    'listen 127.0.0.1:$PORT proxy_protocol;',
    `location / { return 200 "${names.join(' ')}"; }`,
  ])
  for (const version of [1, 2] as const) {
    t.is(await request(port, { version, command: 'PROXY', ...FOUR }), '192.0.2.1 56324 198.51.100.7 443')
    t.is(await request(port, { version, command: 'PROXY', ...SIX }), '2001:db8::1 1 2001:db8::2 65535')
  }
  const fields = { authority: 'example.org', crc32c: true, ssl: { client: 1, verify: 0 } }
  t.is(await request(port, { version: 2, command: 'PROXY', ...FOUR, ...fields }), '192.0.2.1 56324 198.51.100.7 443')
})
