import type { Socket } from 'node:net'

import { eachOnBoth, errorText, eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

const states = (socket: Socket): string =>
  [
    socket.destroyed,
    socket.connecting,
    socket.pending,
    socket.readyState,
    socket.readable,
    socket.writable,
    socket.writableEnded,
    socket.readableEnded,
  ].join(' ')

eachOnBoth<(socket: Socket, log: (entry: string) => void) => void>(
  'end_with_%s_calls_back_once',
  {
    nothing: (socket) => void socket.end(),
    'a callback': (socket, log) => void socket.end(() => log('callback')),
    text: (socket) => void socket.end('text'),
    'text and a callback': (socket, log) => void socket.end('text', () => log('callback')),
    'text, an encoding and a callback': (socket, log) => void socket.end('ff', 'hex', () => log('callback')),
  },
  (end) =>
    async (net, log, { server, track }) => {
      const listening = await server((socket) => {
        let text = ''
        socket.on('data', (chunk) => (text += chunk.toString('hex'))).on('end', () => socket.end(text))
      })
      const client = track(net.connect(portOf(listening), '127.0.0.1'))
      logEvents(client, log, { port: portOf(listening) })
      client.once('connect', () => end(client, log))
      await eventOf(client, 'close')
    },
)

for (const side of ['client', 'server'] as const)
  for (const allowHalfOpen of [false, true])
    onBoth(
      `when_the_peer_ends_a_${side}_with_allowHalfOpen_${allowHalfOpen}_has_these_events_and_states`,
      async (net, log, { server, track }) => {
        let accepted!: (socket: Socket) => void
        const connection = new Promise<Socket>((resolve) => (accepted = resolve))
        const listening = await server((socket) => accepted(socket), {
          allowHalfOpen: side === 'server' ? allowHalfOpen : true,
        })
        const client = track(
          net.connect({
            port: portOf(listening),
            host: '127.0.0.1',
            allowHalfOpen: side === 'client' ? allowHalfOpen : true,
          }),
        )
        const peer = await connection
        const [watched, other] = side === 'client' ? [client, peer] : [peer, client]
        if (client.connecting) await eventOf(client, 'connect')
        logEvents(watched, log)
        const closed = eventOf(watched, 'close')
        log(states(watched))
        watched.resume()
        other.end()
        other.resume()
        await eventOf(watched, 'end')
        await new Promise((resolve) => setImmediate(resolve))
        // The other is closing by itself: that is over in a later phase of the loop, or has been over already.
        if (allowHalfOpen) log(states(watched))
        watched.end()
        await closed
        log(states(watched))
      },
    )

onBoth('end_before_the_connection_waits_for_it', async (net, log, { server, track }) => {
  const listening = await server((socket) => {
    socket.resume()
  })
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  logEvents(client, log, { port: portOf(listening) })
  client.end()
  log(states(client))
  await eventOf(client, 'close')
  log(states(client))
})

onBoth('end_of_a_socket_that_was_never_connected', async (net, log, { track }) => {
  const socket = track(new net.Socket())
  logEvents(socket, log)
  log(states(socket))
  socket.end()
  log(states(socket))
  await new Promise((resolve) => setTimeout(resolve, 20))
  log(states(socket))
})

eachOnBoth<(socket: Socket) => void>(
  'destroy_of_a_new_socket_by_%s_closes_it',
  {
    destroy: (socket) => void socket.destroy(),
    'destroy with an error': (socket) => void socket.destroy(new Error('given')),
    'destroy twice': (socket) => void socket.destroy().destroy(new Error('late')),
    destroySoon: (socket) => socket.destroySoon(),
    resetAndDestroy: (socket) => void socket.resetAndDestroy(),
  },
  (act) =>
    async (net, log, { track }) => {
      const socket = track(new net.Socket())
      logEvents(socket, log)
      act(socket)
      log(states(socket))
      await new Promise((resolve) => setTimeout(resolve, 20))
      log(states(socket))
    },
)

eachOnBoth<(socket: Socket) => void>(
  'a_connecting_socket_that_is_ended_by_%s_ends_so',
  {
    destroy: (socket) => void socket.destroy(),
    'destroy with an error': (socket) => void socket.destroy(new Error('given')),
    'destroy twice': (socket) => void socket.destroy(new Error('first')).destroy(new Error('late')),
    destroySoon: (socket) => socket.destroySoon(),
    'end and destroySoon': (socket) => socket.end('text').destroySoon(),
    resetAndDestroy: (socket) => void socket.resetAndDestroy(),
  },
  (act) =>
    async (net, log, { server, track }) => {
      const listening = await server((socket) => void socket.resume().on('error', () => {}))
      const client = track(net.connect(portOf(listening), '127.0.0.1'))
      logEvents(client, log, { port: portOf(listening) })
      act(client)
      log(states(client))
      await eventOf(client, 'close')
      log(states(client))
    },
)

eachOnBoth<(socket: Socket) => void>(
  'an_open_socket_that_is_ended_by_%s_ends_so_for_both_sides',
  {
    destroy: (socket) => void socket.destroy(),
    'destroy with an error': (socket) => void socket.destroy(new Error('given')),
    destroySoon: (socket) => socket.destroySoon(),
    'a write and destroySoon': (socket) => (socket.write('text'), socket.destroySoon()),
    'end and destroySoon': (socket) => socket.end('text').destroySoon(),
    resetAndDestroy: (socket) => void socket.resetAndDestroy(),
    'resetAndDestroy twice': (socket) => void socket.resetAndDestroy().resetAndDestroy(),
    'destroy and resetAndDestroy': (socket) => void socket.destroy().resetAndDestroy(),
  },
  (act) =>
    async (net, log, { server, track }) => {
      const peerLog: string[] = []
      let peerClosed = (): void => {}
      const whenPeerClosed = new Promise<void>((resolve) => (peerClosed = resolve))
      const listening = await server((socket) => {
        logEvents(socket, (entry) => peerLog.push(`peer ${entry}`), { without: ['prefinish'] })
        socket.on('close', peerClosed)
      })
      const client = track(net.connect(portOf(listening), '127.0.0.1'))
      await eventOf(client, 'connect')
      logEvents(client, log)
      act(client)
      log(states(client))
      await eventOf(client, 'close')
      log(states(client))
      await whenPeerClosed
      for (const entry of peerLog) log(entry)
    },
)

onBoth('close_says_whether_there_was_an_error_and_comes_once', async (net, log, { server, track }) => {
  for (const error of [undefined, new Error('given')]) {
    const client = track(net.connect(portOf(await server()), '127.0.0.1'))
    await eventOf(client, 'connect')
    client.on('error', () => log('error')).on('close', (hadError) => log(`close ${hadError}`))
    client.destroy(error)
    client.destroy(new Error('late'))
    log('called')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
})

onBoth('a_socket_with_emitClose_false_of_no_use_still_closes', async (net, log, { server, track }) => {
  const socket = track(new net.Socket({ emitClose: false } as never))
  socket.on('close', () => log('close'))
  socket.connect(portOf(await server()), '127.0.0.1')
  await eventOf(socket, 'connect')
  socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 20))
  log(socket.destroyed)
})

onBoth('addresses_are_undefined_after_the_close', async (net, log, { server, track }) => {
  const listening = await server()
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  const addresses = (): string =>
    [
      client.remoteAddress,
      client.remoteFamily,
      client.remotePort === portOf(listening),
      client.localAddress,
      typeof client.localPort,
      client.localFamily,
      JSON.stringify(client.address()).replace(/\d{4,}/, 'N'),
    ].join(' ')
  log(addresses())
  await eventOf(client, 'connect')
  log(addresses())
  client.destroy()
  log(addresses())
  await eventOf(client, 'close')
  log(addresses())
})

onBoth('a_reset_by_the_peer_is_ECONNRESET_of_read', async (net, log, { server, track }) => {
  let peer: Socket | undefined
  const listening = await server((socket) => (peer = socket))
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  await eventOf(client, 'connect')
  logEvents(client, log)
  while (!peer) await new Promise((resolve) => setImmediate(resolve))
  peer.resetAndDestroy()
  await eventOf(client, 'close')
  log(states(client))
})

onBoth('resetAndDestroy_answers_the_socket_and_destroy_too', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server((socket) => void socket.on('error', () => {}))), '127.0.0.1'))
  await eventOf(client, 'connect')
  log(client.resetAndDestroy() === client)
  log(client.destroy() === client)
  log(client.resetAndDestroy() === client)
  log(errorText((client as { errored?: Error }).errored))
})
