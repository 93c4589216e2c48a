import type { LookupFunction, NetConnectOpts, Socket } from 'node:net'

import {
  type Net,
  eachOnBoth,
  errorText,
  eventOf,
  logEvents,
  onBoth,
  portOf,
  said,
  thrownBy,
} from '../support/both-nets.js'

/** Answers each look-up with `addresses`, or with an error. */
const answers = (addresses: unknown, family?: number): LookupFunction =>
  ((_name: string, _options: object, callback: (...args: unknown[]) => void) =>
    addresses instanceof Error
      ? callback(addresses)
      : process.nextTick(callback, null, addresses, family)) as LookupFunction

eachOnBoth<(net: Net, port: number, onConnect: () => void) => Socket>(
  'connect_takes_%s',
  {
    'a port, a host and a callback': (net, port, done) => net.connect(port, '127.0.0.1', done),
    'a port as text': (net, port, done) => net.connect(String(port) as never as number, '127.0.0.1', done),
    'options and a callback': (net, port, done) => net.connect({ port, host: '127.0.0.1' }, done),
    'options with a port as text': (net, port, done) =>
      net.connect({ port: String(port) as never as number, host: '127.0.0.1' }, done),
    createConnection: (net, port, done) => net.createConnection({ port, host: '127.0.0.1' }, done),
    'a socket of its own': (net, port, done) => new net.Socket().connect(port, '127.0.0.1', done),
    'a socket without new': (net, port, done) =>
      (net.Socket as never as () => Socket)().connect({ port, host: '127.0.0.1' }, done),
    Stream: (net, port, done) =>
      new (net as never as { Stream: Net['Socket'] }).Stream().connect(port, '127.0.0.1', done),
    'a family': (net, port, done) => net.connect({ port, host: '127.0.0.1', family: 4 }, done),
  },
  (connect) =>
    async (net, log, { server, track }) => {
      const listening = await server((socket) => socket.end('hello'))
      const port = portOf(listening)
      const client = track(connect(net, port, () => log('callback')))
      log(`${client.connecting} ${client.pending} ${client.readyState}`)
      logEvents(client, log, { port })
      await eventOf(client, 'close')
    },
)

eachOnBoth<unknown[]>(
  'connect_throws_for_%s',
  {
    'no argument': [],
    undefined: [undefined],
    null: [null],
    'empty options': [{}],
    'a port of 65536': [65536],
    'a port of -1': [-1],
    'a port of 1.5': [{ port: 1.5 }],
    'a port of NaN': [{ port: NaN }],
    'a port that is no number': [{ port: 'a' }],
    'a port that is empty': [{ port: '' }],
    'a port that is a boolean': [{ port: true }],
    'a port that is an array': [{ port: [80] }],
    'a port that is null': [{ port: null, host: '127.0.0.1' }],
    'a host that is a number': [{ port: 1, host: 5 }],
    'a path that is a number': [{ path: 5 }],
    'a path that is an object': [{ path: {} }],
    'a lookup that is no function': [{ port: 1, host: 'localhost', lookup: 'a' }],
    'a lookup that is an object': [{ port: 1, host: 'localhost', lookup: {} }],
    'a localAddress that is no address': [{ port: 1, host: '127.0.0.1', localAddress: 'nowhere' }],
    'a localAddress that is a number': [{ port: 1, host: '127.0.0.1', localAddress: 5 }],
    'a localPort that is text': [{ port: 1, host: '127.0.0.1', localPort: 'a' }],
    'a localPort that is too big': [{ port: 1, host: '127.0.0.1', localPort: 70000 }],
    'hints that are unknown': [{ port: 1, host: 'localhost', hints: 1 << 20 }],
    'a family that is unknown': [{ port: 1, host: 'localhost', family: 7 }],
    'autoSelectFamily that is text': [{ port: 1, host: 'localhost', autoSelectFamily: 'yes' }],
    'autoSelectFamilyAttemptTimeout of 0': [
      { port: 1, host: 'localhost', autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 0 },
    ],
    'autoSelectFamilyAttemptTimeout that is text': [
      { port: 1, host: 'localhost', autoSelectFamily: true, autoSelectFamilyAttemptTimeout: '5' },
    ],
    objectMode: [{ port: 1, host: '127.0.0.1', objectMode: true }],
    readableObjectMode: [{ port: 1, host: '127.0.0.1', readableObjectMode: true }],
    writableObjectMode: [{ port: 1, host: '127.0.0.1', writableObjectMode: true }],
    'a signal that is none': [{ port: 1, host: '127.0.0.1', signal: 'signal' }],
    'onread without a callback': [{ port: 1, host: '127.0.0.1', onread: { buffer: Buffer.alloc(1) } }],
  },
  (args) =>
    (net, log, { track }) => {
      log(
        thrownBy(() => {
          const socket = track((net.connect as (...args: unknown[]) => Socket)(...args))
          socket.on('error', () => {})
        }),
      )
    },
)

onBoth('a_refused_connection_is_ECONNREFUSED_with_its_address', async (net, log, { server, track }) => {
  const listening = await server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  const client = track(net.connect(port, '127.0.0.1'))
  logEvents(client, log, { port })
  await eventOf(client, 'close')
  log(`${client.destroyed} ${client.connecting} ${client.readyState}`)
})

onBoth('a_look_up_says_what_it_found_and_asks_for_all_addresses', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end()))
  const lookup = ((name: string, options: object, callback: (...args: unknown[]) => void) => {
    log(`${name} ${JSON.stringify(options)}`)
    callback(null, [{ address: '127.0.0.1', family: 4 }])
  }) as LookupFunction
  const client = track(net.connect({ port, host: 'some.name', lookup }))
  logEvents(client, log, { port })
  await eventOf(client, 'close')
})

eachOnBoth<object>(
  'the_options_of_a_look_up_are_passed_on: %s',
  {
    'family 4': { family: 4 },
    'family 6': { family: 6 },
    'family 0': { family: 0 },
    hints: { hints: 1024 },
    'no autoSelectFamily': { autoSelectFamily: false },
    'a local address': { localAddress: '127.0.0.1' },
  },
  (options) =>
    async (net, log, { track }) => {
      const lookup = ((name: string, given: object, callback: (...args: unknown[]) => void) => {
        log(`${name} ${JSON.stringify(given)}`)
        callback(new Error('not found'))
      }) as LookupFunction
      const client = track(net.connect({ port: 1, host: 'some.name', lookup, ...options } as NetConnectOpts))
      logEvents(client, log)
      await eventOf(client, 'close')
    },
)

eachOnBoth<[answer: unknown, family?: number]>(
  'a_look_up_that_answers_%s',
  {
    'an error': [Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })],
    undefined: [undefined, 4],
    'a number': [5, 4],
    'text that is no address': ['nowhere', 4],
    'a family that does not exist': ['127.0.0.1', 100],
    'a list with text that is no address': [[{ address: 'nowhere', family: 4 }]],
    'a list with a family that does not exist': [[{ address: '127.0.0.1', family: 5 }]],
  },
  (answer) =>
    async (net, log, { track }) => {
      // What is no list is only asked for without autoSelectFamily: Node itself fails on it otherwise.
      for (const autoSelectFamily of answer[0] instanceof Error ? [true, false] : [Array.isArray(answer[0])]) {
        const lookup = answers(...answer)
        const client = track(net.connect({ port: 1, host: 'some.name', autoSelectFamily, lookup }))
        logEvents(client, log)
        await eventOf(client, 'close')
      }
    },
)

/** On a machine that is busy an attempt takes longer than the default, and is then reported as timed out. */
const EACH_TO_ITS_END = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 100_000 }

onBoth('several_addresses_are_tried_one_after_the_other', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end('hello')))
  const lookup = answers([
    { address: '::1', family: 6 },
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ])
  const client = track(net.connect({ port, host: 'some.name', ...EACH_TO_ITS_END, lookup }))
  logEvents(client, log, { port })
  await eventOf(client, 'close')
  log(JSON.stringify(client.autoSelectFamilyAttemptedAddresses).replaceAll(String(port), 'PORT'))
})

onBoth('when_all_addresses_fail_the_error_has_one_for_each', async (net, log, { server, track }) => {
  const listening = await server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  const lookup = answers([
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ])
  const client = track(net.connect({ port, host: 'some.name', ...EACH_TO_ITS_END, lookup }))
  logEvents(client, log, { port })
  client.on('error', (error) => {
    for (const part of (error as AggregateError).errors) log(errorText(part, port))
  })
  await eventOf(client, 'close')
})

onBoth('a_socket_that_is_destroyed_during_the_look_up_never_connects', async (net, log, { track }) => {
  let answer!: () => void
  const lookup = ((_name: string, _options: object, callback: (...args: unknown[]) => void) => {
    answer = () => callback(null, [{ address: '127.0.0.1', family: 4 }])
  }) as LookupFunction
  const client = track(net.connect({ port: 1, host: 'some.name', lookup }))
  logEvents(client, log)
  client.destroy()
  answer()
  await eventOf(client, 'close')
  log(`${client.connecting} ${client.destroyed}`)
})

eachOnBoth<object>(
  'local_ends_that_cannot_be_bound: %s',
  {
    'an address of no interface': { localAddress: '192.0.2.7' },
    'an address of the other family': { localAddress: '::1' },
  },
  (options) =>
    async (net, log, { server, track }) => {
      const port = portOf(await server())
      const client = track(net.connect({ port, host: '127.0.0.1', ...options }))
      logEvents(client, log, { port })
      await eventOf(client, 'close')
    },
)

onBoth('localAddress_and_localPort_are_bound', async (net, log, { server, track }) => {
  const spare = await server()
  const localPort = portOf(spare)
  await new Promise((resolve) => spare.close(resolve))
  const port = portOf(
    await server((socket) => socket.end(`${socket.remoteAddress} ${socket.remotePort === localPort}`)),
  )
  const client = track(net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.1', localPort }))
  client.on('data', (chunk) => log(`${chunk} ${said(client.localPort, localPort)}`))
  await eventOf(client, 'close')
})

eachOnBoth<boolean>(
  'a_signal_that_is_aborted_%s_destroys_the_socket',
  { before: true, after: false },
  (before) =>
    async (net, log, { server, track }) => {
      const controller = new AbortController()
      const port = portOf(await server())
      if (before) controller.abort()
      const client = track(net.connect({ port, host: '127.0.0.1', signal: controller.signal } as NetConnectOpts))
      logEvents(client, log, { port, without: ['lookup', 'connectionAttempt'] })
      controller.abort()
      await eventOf(client, 'close')
      log(client.destroyed)
    },
)

// Node 20 knows no `blockList` of a client.
if (Number.parseInt(process.versions.node) >= 22)
  onBoth('an_address_of_the_block_list_is_refused', async (net, log, { server, track }) => {
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const port = portOf(await server())
    for (const host of ['127.0.0.1', 'localhost']) {
      const lookup = answers([{ address: '127.0.0.1', family: 4 }])
      const client = track(net.connect({ port, host, blockList, lookup } as NetConnectOpts))
      logEvents(client, log, { port })
      await eventOf(client, 'close')
    }
  })

onBoth('a_closed_socket_connects_again', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end('hello')))
  const client = track(new net.Socket())
  logEvents(client, log, { port, without: ['connectionAttempt', 'lookup'] })
  for (let i = 0; i < 3; i++) {
    client.connect(port, '127.0.0.1')
    log(`${client.destroyed} ${client.connecting} ${client.readyState} ${client.bytesRead} ${client.bytesWritten}`)
    client.write('text')
    await eventOf(client, 'close')
    log(`${client.bytesRead} ${client.bytesWritten}`)
  }
})
