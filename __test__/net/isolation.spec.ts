import nodeNet from 'node:net'

import test from 'ava'
import { Listener, Multiplexer } from 'm-socket'
import ourNet from 'm-socket/net'

import { eachOnBoth, eventOf, portOf } from '../support/both-nets.js'
import { runModule } from '../support/child.js'

for (const module of ['m-socket/net', 'node:net']) {
  test(`a_write_goes_on_although_a_listener_of_the_input_throws: ${module}`, async (t) => {
    const { stdout, stderr } = await runModule(
      t,
      `
      import net from '${module}'
      import { connect } from 'node:net'
      const SIZE = 20_000_000
      process.on('uncaughtException', ({ message }) => { if (message !== 'thrown') throw message })
      const server = net.createServer((socket) => {
        socket.on('data', () => { throw new Error('thrown') })
        socket.end(Buffer.alloc(SIZE))
      })
      server.listen(0, '127.0.0.1', () => {
        const client = connect({ port: server.address().port, host: '127.0.0.1', allowHalfOpen: true })
        let received = 0
        client.on('data', ({ length }) => {
          received += length
          // It comes with the report that there is room.
          client.write('x')
        })
        client.on('end', () => {
          console.log(received === SIZE)
          client.destroy()
          server.close()
        })
      })`,
    )
    t.is(stderr, '')
    t.is(stdout, 'true\n')
  })
}

/** By what a connect is under way when its socket is destroyed and connects to another server. */
const WAYS: Record<string, (port: number) => nodeNet.NetConnectOpts> = {
  'an address': (port) => ({ port, host: '127.0.0.1' }),
  'a name': (port) => ({ port, host: 'localhost' }),
  'a look-up': (port) => ({
    port,
    host: 'name',
    lookup: (_host, _options, done) => setImmediate(() => done(null, [{ address: '127.0.0.1', family: 4 }])),
  }),
  'a look-up that fails': (port) => ({
    port,
    host: 'name',
    lookup: (_host, _options, done) => setImmediate(() => done(new Error('failed'), '')),
  }),
  'a path that is missing': () => ({ path: '/missing/path' }),
}

for (const [name, optionsOf] of Object.entries(WAYS)) {
  test(`a_destroyed_socket_that_connects_again_does_so_only_to_the_new_server: ${name}`, async (t) => {
    const accepted: string[] = []
    const [old, wanted] = await Promise.all(['old', 'new'].map((server) => serverThat(() => accepted.push(server))))
    const socket = new ourNet.Socket()
    socket.connect(optionsOf(portOf(old!)))
    socket.destroy()
    socket.connect(portOf(wanted!), '127.0.0.1')
    await eventOf(socket, 'connect')
    t.is(socket.remotePort, portOf(wanted!))
    // Later than any outcome of the first connect.
    const [data] = await eventOf(socket, 'data')
    t.is(String(data), 'late')
    t.deepEqual(accepted, ['new'])
    socket.destroy()
    for (const server of [old, wanted]) server!.close()
  })
}

function serverThat(accepts: () => void): Promise<nodeNet.Server> {
  return listeningServer((socket) => {
    accepts()
    setTimeout(() => socket.write('late'), 50)
  })
}

test('a_listener_is_taken_by_listen_and_one_that_is_in_use_is_refused_and_stays_as_it_was', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
  const multiplexer = new Multiplexer(listener)
  const server = ourNet.createServer((socket) => socket.end('answer'))
  for (const options of [listener, { handle: listener }]) {
    t.throws(() => server.listen(options), { code: 'EEXIST', message: /the listener is in use$/ })
    t.false(server.listening)
  }
  multiplexer.remove(listener)
  await eventOf(server.listen(listener), 'listening')
  const [data] = await eventOf(nodeNet.connect(portOf(server), '127.0.0.1'), 'data')
  t.is(String(data), 'answer')
  server.close()
  multiplexer.close()
})

eachOnBoth(
  'a_buffer_for_the_input_without_room_is_an_error_of_the_socket: %s',
  { empty: () => new Uint8Array(0), 'a function': () => () => new Uint8Array(0) },
  (makeBuffer) =>
    async (net, log, { server, track }) => {
      const listening = await server((socket) => socket.on('error', () => {}).write('data'))
      const socket = track(
        net.connect({
          port: portOf(listening),
          host: '127.0.0.1',
          onread: { buffer: makeBuffer(), callback: () => true },
        }),
      )
      const [error] = (await eventOf(socket, 'error')) as [NodeJS.ErrnoException]
      log(`${error.message} ${error.syscall}`)
    },
)

test('a_limit_of_the_queue_is_in_force_also_after_a_reconnect', async (t) => {
  const socket = new ourNet.Socket({ sendQueueLimit: 10 })
  for (const connection of ['first', 'second']) {
    const listening = await listeningServer((peer) => peer.end())
    socket.connect(portOf(listening), '127.0.0.1')
    await eventOf(socket, 'connect')
    await eventOf(socket.resume(), 'close')
    listening.close()
    t.true(socket.destroyed, connection)
  }
  const silent = await listeningServer(() => {})
  socket.connect(portOf(silent), '127.0.0.1')
  socket.write('more than ten bytes')
  const [error] = (await eventOf(socket, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ERR_SOCKET_QUEUE_FULL')
  silent.close()
})

async function listeningServer(onConnection: (peer: nodeNet.Socket) => void): Promise<nodeNet.Server> {
  const server = nodeNet.createServer(onConnection)
  await eventOf(server.listen(0, '127.0.0.1'), 'listening')
  return server
}
