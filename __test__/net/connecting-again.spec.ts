import { createServer, type LookupFunction, type Socket } from 'node:net'

import test from 'ava'

import { runModule } from '../support/child.js'
import { eachOnBoth, errorText, eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

/** The answer comes in a later turn of the loop. */
const localhost: LookupFunction = (_host, options, callback) => {
  const found = [{ address: '127.0.0.1', family: 4 }]
  setImmediate(() => (options.all ? callback(null, found) : callback(null, '127.0.0.1', 4)))
}

eachOnBoth(
  'connect_by_%s_during_connect_is_EALREADY_and_closes_what_connects',
  {
    address: { host: '127.0.0.1' },
    name: { host: 'name', lookup: localhost },
    'name for one address': { host: 'name', lookup: localhost, autoSelectFamily: false },
  },
  (target) =>
    async (net, log, { server, track }) => {
      const listening = await server((socket) => socket.on('error', () => {}).resume())
      const port = portOf(listening)
      const client = track(net.connect({ port, ...target }))
      logEvents(client, log, { port, without: ['error'] })
      client.once('error', (error) => log(errorText(error, port).replace(/ - Local.*?\)/, '')))
      client.connect({ port, ...target })
      await eventOf(client, 'close')
      // Nothing is left of either.
      await new Promise((resolve) => listening.close(resolve))
      log(`${client.destroyed} ${client.connecting}`)
    },
)

onBoth('connect_of_a_connected_socket_emits_connect_and_ready_again', async (net, log, { server, track }) => {
  const connections: Socket[] = []
  const listening = await server((socket) => void connections.push(socket.on('data', (data) => log(`peer ${data}`))))
  const port = portOf(listening)
  const client = track(net.connect(port, '127.0.0.1'))
  await eventOf(client, 'connect')
  logEvents(client, log, { port })
  client.connect(port, '127.0.0.1', () => log('callback'))
  client.write('text')
  log(`${client.connecting} ${client.pending}`)
  await eventOf(client, 'connect')
  await eventOf(connections[0]!, 'data')
  log(`${client.connecting} ${client.destroyed} ${connections.length}`)
})

onBoth('connect_of_an_accepted_socket_is_EISCONN', async (net, log, { server, track }) => {
  let accepted!: (socket: Socket) => void
  const connection = new Promise<Socket>((resolve) => (accepted = resolve))
  const port = portOf(await server((socket) => accepted(socket)))
  track(net.connect(port, '127.0.0.1')).on('error', () => {})
  const socket = await connection
  logEvents(socket, log, { port })
  socket.connect(port, '127.0.0.1')
  await eventOf(socket, 'close')
})

onBoth('a_look_up_that_ignores_the_option_all_fails_as_in_node', async (net, log, { track }) => {
  const lookup: LookupFunction = (_host, _options, callback) => setImmediate(() => callback(null, '127.0.0.1', 4))
  const client = track(net.connect({ port: 1, host: 'name', lookup, autoSelectFamily: true }))
  logEvents(client, log)
  await eventOf(client, 'close')
})

test('a_connect_keeps_the_process_alive_though_it_is_unreferenced', async (t) => {
  const listening = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await eventOf(listening, 'listening')
  t.teardown(() => listening.close())
  for (const net of ['node:net', 'm-socket/net']) {
    const { stdout, stderr } = await runModule(
      t,
      `import net from '${net}'
      const client = net.connect(${portOf(listening)}, '127.0.0.1', () => console.log('connected')).unref()
      client.on('error', () => {})`,
    )
    t.is(stdout.trim(), 'connected', stderr)
  }
})
