// node:tls and node:http2 over streams that the program connects by itself.

import { once } from 'node:events'
import http2 from 'node:http2'
import type { Server, Socket } from 'node:net'
import tls from 'node:tls'

import { certificate } from '../support/certificate.js'
import { type Log, type Net, type Stage, eachOnBoth, errorText, eventOf, onBoth, portOf } from '../support/both-nets.js'

type Prepare = (net: Net, port: number, stage: Stage) => Socket | Promise<Socket>

/** When the stream gets what is put on top of it. */
const STATES: Record<string, Prepare> = {
  connected: async (net, port, { track }) => {
    const socket = track(net.connect(port, '127.0.0.1'))
    await eventOf(socket, 'connect')
    return socket
  },
  connecting: (net, port, { track }) => track(net.connect(port, '127.0.0.1')),
}

const PROTOCOLS = ['one', 'two']

async function tlsServer(stage: Stage, log: Log, onSecure: (socket: tls.TLSSocket) => void): Promise<number> {
  const listening: Server = await stage.server((socket) => {
    const secure = new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: tls.createSecureContext(certificate()),
      ALPNProtocols: PROTOCOLS,
    })
    secure.on('error', (error) => log(`server ${(error as NodeJS.ErrnoException).code}`))
    secure.on('secure', () => onSecure(secure))
  })
  return portOf(listening)
}

const secureOptions = () => ({ ca: certificate().cert, servername: 'localhost' })

eachOnBoth<Prepare>('tls_over_a_stream_that_is_%s', STATES, (prepare) => async (net, log, stage) => {
  const port = await tlsServer(stage, log, (secure) => {
    log(`server ${String(secure.alpnProtocol)} ${secure.remoteAddress} ${secure.remoteFamily} ${secure.localAddress}`)
    secure.on('data', (chunk) => secure.end(`echo ${chunk}`))
  })
  const socket = await prepare(net, port, stage)
  const client = tls.connect({ ...secureOptions(), socket, ALPNProtocols: ['two', 'three'] })
  for (const name of ['secureConnect', 'end', 'close', 'error'])
    client.on(name, (value) => log(`${name} ${String(value)}`))
  client.write('hello')
  await eventOf(client, 'secureConnect')
  log(
    `${client.alpnProtocol} ${client.authorized} ${client.getProtocol()} ${client.remoteAddress} ${client.remotePort === port}`,
  )
  const [data] = await eventOf(client, 'data')
  log(String(data))
  await eventOf(client, 'close')
  log(`${socket.destroyed} ${client.destroyed}`)
})

// Over such a stream Node's own TLS socket has no addresses.
onBoth('tls_over_a_stream_that_is_connected_later', async (net, log, stage) => {
  const port = await tlsServer(stage, log, (secure) => secure.on('data', (chunk) => secure.end(`echo ${chunk}`)))
  const socket = stage.track(new net.Socket())
  const client = tls.connect({ ...secureOptions(), socket })
  client.write('hello')
  setImmediate(() => socket.connect(port, '127.0.0.1'))
  const closed = eventOf(client, 'close')
  log(String((await eventOf(client, 'data'))[0]))
  await closed
  log(`${client.authorized} ${client.destroyed} ${socket.destroyed}`)
})

eachOnBoth<object>(
  'a_tls_handshake_that_fails: %s',
  {
    'an unknown issuer': { servername: 'localhost' },
    'another name': { ca: 'own', servername: 'elsewhere.example' },
    'no protocol in common': { ca: 'own', servername: 'localhost', ALPNProtocols: ['three'] },
  },
  (options) => async (net, log, stage) => {
    const port = await tlsServer(
      stage,
      () => {},
      () => {},
    )
    const socket = await STATES['connected']!(net, port, stage)
    const ca = 'ca' in options ? { ca: certificate().cert } : {}
    const client = tls.connect({ ...options, ...ca, socket })
    const [error] = await eventOf(client, 'error')
    log((error as NodeJS.ErrnoException).code ?? '')
    await new Promise((resolve) => (socket.closed ? resolve(0) : socket.once('close', resolve)))
    log(`${client.destroyed} ${socket.destroyed}`)
  },
)

onBoth('tls_over_a_connect_that_is_refused', async (net, log, stage) => {
  const listening = await stage.server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  const client = tls.connect({ ...secureOptions(), socket: stage.track(net.connect(port, '127.0.0.1')) })
  const [error] = await eventOf(client, 'error')
  log(errorText(error, port))
  if (!client.closed) await eventOf(client, 'close')
  log(client.destroyed)
})

onBoth('what_is_no_tls_is_an_error_of_the_client', async (net, log, stage) => {
  const port = portOf(await stage.server((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad\r\n\r\n')))
  const client = tls.connect({ ...secureOptions(), socket: await STATES['connected']!(net, port, stage) })
  const [error] = await eventOf(client, 'error')
  log((error as NodeJS.ErrnoException).code ?? '')
})

async function http2Server(stage: Stage, onStream: (stream: http2.ServerHttp2Stream) => void): Promise<number> {
  const server = http2.createServer()
  server.on('stream', onStream)
  server.on('sessionError', () => {})
  return portOf(
    await stage.server(
      (socket) =>
        void server.emit(
          'connection',
          socket.on('error', () => {}),
        ),
    ),
  )
}

async function answerOf(session: http2.ClientHttp2Session): Promise<string> {
  const stream = session.request({ ':path': '/' }).setEncoding('utf8')
  let text = ''
  stream.on('data', (chunk) => (text += chunk))
  const ended = once(stream, 'end')
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
  await ended
  return `${String(headers[':status'])} ${text}`
}

eachOnBoth<Prepare>(
  'http2_over_a_stream_that_is_%s',
  { connected: STATES['connected']!, connecting: STATES['connecting']! },
  (prepare) => async (net, log, stage) => {
    const port = await http2Server(stage, (stream) => {
      const { socket } = stream.session!
      stream.respond({ ':status': 200 })
      stream.end(`to ${socket!.remoteAddress} ${socket!.remoteFamily} at ${socket!.localPort === port}`)
    })
    const socket = await prepare(net, port, stage)
    const session = http2.connect('http://localhost', { createConnection: () => socket })
    session.on('connect', () => log(`connect ${session.alpnProtocol}`))
    log(await answerOf(session))
    log(`${session.socket.remoteAddress} ${session.socket.remotePort === port}`)
    log(await answerOf(session))
    const closed = once(session, 'close')
    session.close()
    await closed
    await new Promise((resolve) => (socket.closed ? resolve(0) : socket.once('close', resolve)))
    log(socket.destroyed)
  },
)

onBoth('http2_over_a_connect_that_is_refused', async (net, log, stage) => {
  const listening = await stage.server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  const socket = stage.track(net.connect(port, '127.0.0.1'))
  const session = http2.connect('http://localhost', { createConnection: () => socket })
  const [error] = await once(session, 'error').catch((failure: unknown) => [failure])
  log(errorText(error, port))
})

onBoth('a_reset_beneath_http2_is_ECONNRESET', async (net, log, stage) => {
  const sockets: Socket[] = []
  const server = http2.createServer()
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    sockets[0]!.resetAndDestroy()
  })
  const port = portOf(
    await stage.server((socket) => {
      sockets.push(socket)
      server.emit('connection', socket)
    }),
  )
  const session = http2.connect('http://localhost', { createConnection: () => net.connect(port, '127.0.0.1') })
  const failed = once(session, 'error').then(
    ([error]) => error as Error,
    (error: Error) => error,
  )
  session.request({ ':path': '/' }).on('error', () => {})
  log(((await failed) as NodeJS.ErrnoException).code ?? '')
})
