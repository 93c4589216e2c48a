import type { NetConnectOpts, Socket } from 'node:net'

import { type Net, type Stage, eachOnBoth, eventOf, onBoth, portOf, thrownBy } from '../support/both-nets.js'

const SHORT = 30
/** Longer than a test runs. */
const LONG = 100_000

async function pairOf(net: Net, { server, track }: Stage, options: object = {}): Promise<[Socket, Socket]> {
  let accepted!: (socket: Socket) => void
  const connection = new Promise<Socket>((resolve) => (accepted = resolve))
  const port = portOf(await server((socket) => accepted(socket)))
  const client = track(net.connect({ port, host: '127.0.0.1', ...options } as NetConnectOpts))
  await eventOf(client, 'connect')
  return [client, await connection]
}

onBoth('a_timeout_comes_again_and_again_and_closes_nothing', async (net, log, stage) => {
  const [client] = await pairOf(net, stage)
  log(client.setTimeout(SHORT, () => log('callback')) === client)
  log(client.timeout!)
  await eventOf(client, 'timeout')
  log(`${client.destroyed} ${client.readyState}`)
  // The timer is not set again by itself: data does so.
  client.write('x')
  await eventOf(client, 'timeout')
  log(client.destroyed)
})

eachOnBoth<(net: Net, stage: Stage) => Promise<Socket>>(
  'a_timeout_is_set_%s',
  {
    'by an option of connect': async (net, stage) => (await pairOf(net, stage, { timeout: SHORT }))[0],
    'while it connects': async (net, { server, track }) => {
      const port = portOf(await server())
      return track(net.connect(port, '127.0.0.1')).setTimeout(SHORT)
    },
    'before connect': async (net, { server, track }) => {
      const socket = track(new net.Socket()).setTimeout(SHORT)
      return socket.connect(portOf(await server()), '127.0.0.1')
    },
    'on a socket that never connects': async (net, { track }) => track(new net.Socket()).setTimeout(SHORT),
    "on a server's socket": async (net, stage) => {
      const [, accepted] = await pairOf(net, stage)
      return accepted.setTimeout(SHORT)
    },
  },
  (prepare) => async (net, log, stage) => {
    const socket = await prepare(net, stage)
    await eventOf(socket, 'timeout')
    log(`${socket.timeout} ${socket.destroyed}`)
  },
)

onBoth('a_timeout_of_0_ends_it_and_takes_its_listener', async (net, log, stage) => {
  const [client] = await pairOf(net, stage)
  const onTimeout = () => log('timeout')
  client.setTimeout(LONG, onTimeout)
  log(client.listenerCount('timeout'))
  client.setTimeout(0, onTimeout)
  log(`${client.listenerCount('timeout')} ${client.timeout}`)
  client.setTimeout(SHORT)
  client.setTimeout(0)
  // The one that is waited for is of the same length and set later.
  await new Promise((resolve) => setTimeout(resolve, SHORT))
  log('nothing came')
})

eachOnBoth<unknown[]>(
  'setTimeout_throws_or_not_for_%s',
  {
    text: ['5'],
    undefined: [undefined],
    null: [null],
    NaN: [NaN],
    'a negative number': [-1],
    infinity: [Infinity],
    'a callback that is text': [5, 'x'],
    'a callback that is an object': [0, {}],
    'a fraction': [LONG + 0.5],
  },
  (args) =>
    (net, log, { track }) => {
      const socket = track(new net.Socket())
      log(thrownBy(() => (socket.setTimeout as (...args: unknown[]) => unknown)(...args)))
      log(`${String(socket.timeout)} ${socket.listenerCount('timeout')}`)
    },
)

onBoth('data_and_writes_begin_the_time_again', async (net, log, stage) => {
  const [client, accepted] = await pairOf(net, stage)
  let isOver = false
  client.setTimeout(150, () => (isOver = true))
  client.resume()
  // Each of the two alone keeps it from being over, for more than its time in all.
  for (let round = 0; round < 30; round++) {
    if (round % 2 === 0) accepted.write('x')
    else client.write('x')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  log(isOver)
})

onBoth('a_write_that_makes_no_progress_times_out', async (net, log, stage) => {
  const [client, accepted] = await pairOf(net, stage)
  accepted.pause()
  client.write(Buffer.alloc(30_000_000))
  client.setTimeout(SHORT)
  await eventOf(client, 'timeout')
  log(client.destroyed)
})

onBoth('a_destroyed_socket_times_out_no_more', async (net, log, stage) => {
  const [client] = await pairOf(net, stage)
  client.setTimeout(SHORT, () => log('timeout'))
  client.destroy()
  client.setTimeout(SHORT, () => log('timeout of a destroyed one'))
  await eventOf(client, 'close')
  await new Promise((resolve) => setTimeout(resolve, 2 * SHORT))
  log('closed')
})
