import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { inherits } from 'node:util'

import {
  type Net,
  type Stage,
  eachOnBoth,
  eventOf,
  logEvents,
  onBoth,
  portOf,
  said,
  thrownBy,
} from '../support/both-nets.js'
import { freePath } from '../support/unix.js'

const NODE_MAJOR = Number.parseInt(process.versions.node)
const QUIET = { without: ['lookup', 'connectionAttempt'] }

async function pairOf(net: Net, { server, track }: Stage): Promise<{ client: Socket; accepted: Socket; port: number }> {
  let give!: (socket: Socket) => void
  const connection = new Promise<Socket>((resolve) => (give = resolve))
  const port = portOf(await server((socket) => give(socket)))
  const client = track(net.connect(port, '127.0.0.1'))
  await eventOf(client, 'connect')
  return { client, accepted: await connection, port }
}

eachOnBoth<(socket: Socket, accepted: Promise<Socket>) => unknown>(
  'a_socket_connects_again_after_%s',
  {
    'a close': (socket) => socket.end(),
    'a destroy': (socket) => socket.destroy(),
    'an error': (socket) => socket.destroy(new Error('of the program')),
    'a reset': (socket) => socket.resetAndDestroy(),
    'a reset of the peer': async (_, accepted) => (await accepted).resetAndDestroy(),
  },
  (end) =>
    async (net, log, { server, track }) => {
      let give!: (socket: Socket) => void
      const port = portOf(await server((socket) => give(socket.on('error', () => {}))))
      const client = track(new net.Socket())
      logEvents(client, log, { ...QUIET, port })
      client.resume()
      for (let round = 0; round < 5; round++) {
        const accepted = new Promise<Socket>((resolve) => (give = resolve))
        client.connect(port, '127.0.0.1')
        await eventOf(client, 'connect')
        const peer = await accepted
        peer.end('hello')
        const closed = new Promise((resolve) => client.once('close', resolve))
        await eventOf(client, 'data')
        await end(client, accepted)
        await closed
        log(`${client.destroyed} ${client.connecting} ${client.pending} ${client.bytesRead}`)
      }
    },
)

onBoth('a_reset_is_ECONNRESET_at_the_peer', async (net, log, stage) => {
  const { client, accepted } = await pairOf(net, stage)
  const ofPeer: string[] = []
  logEvents(accepted, (entry) => ofPeer.push(String(entry)), { prefix: 'peer ' })
  logEvents(client, log)
  log(client.resetAndDestroy() === client)
  log(`${client.destroyed} ${client.readyState}`)
  await Promise.all([new Promise((resolve) => accepted.once('close', resolve)), eventOf(client, 'close')])
  log(ofPeer.join())
})

onBoth('a_reset_waits_for_the_connection', async (net, log, { server, track }) => {
  let reset!: (message: string) => void
  const wasReset = new Promise<string>((resolve) => (reset = resolve))
  const port = portOf(await server((socket) => socket.on('error', ({ message }) => reset(message))))
  const client = track(net.connect(port, '127.0.0.1'))
  logEvents(client, log, { ...QUIET, port })
  client.resetAndDestroy()
  log(client.destroyed)
  const [message] = await Promise.all([wasReset, eventOf(client, 'close')])
  log(message)
})

onBoth('a_reset_without_a_connection_is_an_error', async (net, log, { server, track }) => {
  const fresh = track(new net.Socket())
  logEvents(fresh, log)
  fresh.resetAndDestroy()
  await eventOf(fresh, 'close')
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  client.destroy()
  logEvents(client, log)
  client.resetAndDestroy()
  await eventOf(client, 'close')
})

onBoth('a_Unix_socket_cannot_be_reset', async (net, log, { server, track, t }) => {
  const path = freePath(t)
  await server(() => {}, { listen: { path } })
  const client = track(net.connect(path))
  await eventOf(client, 'connect')
  log(thrownBy(() => client.resetAndDestroy()))
  log(client.destroyed)
})

eachOnBoth<(socket: Socket) => void>(
  'destroySoon_%s',
  {
    'ends first': (socket) => socket.destroySoon(),
    'sends what waits': (socket) => {
      socket.write('some')
      socket.destroySoon()
    },
    'after an end': (socket) => {
      socket.end('some')
      socket.destroySoon()
    },
    'after a destroy': (socket) => {
      socket.destroy()
      socket.destroySoon()
    },
    twice: (socket) => {
      socket.destroySoon()
      socket.destroySoon()
    },
  },
  (end) => async (net, log, stage) => {
    const { client, accepted } = await pairOf(net, stage)
    logEvents(client, log)
    let text = ''
    accepted.on('data', (chunk) => (text += chunk))
    const both = Promise.all([eventOf(accepted, 'close'), eventOf(client, 'close')])
    end(client)
    await both
    log(text)
  },
)

onBoth('what_is_known_of_a_socket_in_each_state', async (net, log, stage) => {
  const show = (socket: Socket, port: number) =>
    log(
      [
        socket.readyState,
        socket.connecting,
        socket.pending,
        socket.destroyed,
        socket.bytesRead,
        socket.bytesWritten,
        String(socket.bufferSize),
        socket.timeout,
        socket.remoteAddress,
        said(socket.remotePort, port),
        socket.remoteFamily,
        socket.localAddress,
        typeof socket.localPort,
        socket.localFamily,
        JSON.stringify(Object.keys(socket.address())),
      ].join(' '),
    )
  const fresh = stage.track(new net.Socket())
  show(fresh, 0)
  const { client, accepted, port } = await pairOf(net, stage)
  show(client, port)
  log(client.localPort === accepted.remotePort)
  client.write('hello')
  await eventOf(accepted, 'data')
  show(client, port)
  log(accepted.bytesRead)
  accepted.end('bye')
  client.resume().on('end', () => show(client, port))
  await eventOf(client, 'close')
  show(client, port)
})

onBoth('what_is_written_while_connecting_counts', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  client.write('hello')
  client.write(Buffer.alloc(5))
  client.write('ä', 'latin1')
  log(`${client.bytesWritten} ${client.bufferSize} ${client.writableLength}`)
  await eventOf(client, 'connect')
  log(String(client.bytesWritten))
})

onBoth('subclasses_of_each_kind_connect', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end('hello')))
  class Modern extends net.Socket {
    field = 'field'
    override emit(event: string, ...args: never[]): boolean {
      if (event === 'connect') log(`${this.field} emits ${event}`)
      return super.emit(event, ...args)
    }
  }
  function Old(this: Socket) {
    ;(net.Socket as unknown as (this: Socket) => void).call(this)
  }
  inherits(Old, net.Socket)
  const kinds: Socket[] = [new Modern(), new (Old as unknown as new () => Socket)()]
  kinds.push((net.Socket as unknown as () => Socket)())
  for (const socket of kinds) {
    track(socket)
    log(
      `${socket instanceof net.Socket} ${socket instanceof Modern} ${socket instanceof (Old as never as typeof Modern)}`,
    )
    logEvents(socket, log, { ...QUIET, port })
    socket.connect(port, '127.0.0.1')
    await eventOf(socket, 'close')
  }
})

onBoth('the_channel_of_clients_has_each_socket', async (net, log, { server, track }) => {
  const port = portOf(await server())
  const seen = new Set<unknown>()
  const onSocket = (message: unknown) => void seen.add((message as { socket: unknown }).socket)
  subscribe('net.client.socket', onSocket)
  const client = track(net.connect(port, '127.0.0.1'))
  const other = track(new net.Socket())
  log(`${seen.has(client)} ${seen.has(other)}`)
  other.connect(port, '127.0.0.1')
  // Node 20 publishes those of net.connect() alone.
  if (NODE_MAJOR >= 22) log(seen.has(other))
  unsubscribe('net.client.socket', onSocket)
  await Promise.all([eventOf(client, 'connect'), eventOf(other, 'connect')])
})

onBoth('a_rejection_of_a_listener_is_an_error_where_it_is_asked_for', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.write('hello')))
  const before = EventEmitter.captureRejections
  EventEmitter.captureRejections = true
  const client = track(new net.Socket())
  EventEmitter.captureRejections = before
  client.on('data', async () => {
    throw new Error('of a listener')
  })
  logEvents(client, log, { ...QUIET, port })
  client.connect(port, '127.0.0.1')
  await eventOf(client, 'close')
})
