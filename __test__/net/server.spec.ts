import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type nodeNet from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { type Log, type Net, eachOnBoth, errorText, eventOf, onBoth, portOf, thrownBy } from '../support/both-nets.js'
import { freePort } from '../support/ports.js'
import { freePath } from '../support/unix.js'

type Server = nodeNet.Server
type Listen = (server: Server, t: ExecutionContext) => unknown

/** What a program sees of a server. */
function logServer(server: Server, log: Log, port = 0): void {
  server.on('listening', () => log('listening'))
  server.on('close', () => log('close'))
  server.on('error', (error) => log(`error ${errorText(error, port)} ${Object.keys(error).join()}`))
}

function shapeOf(address: ReturnType<Server['address']>): string {
  if (address === null || typeof address === 'string') return address === null ? 'null' : 'path'
  return `${address.address} ${address.family} ${address.port > 0} ${Object.keys(address).join()}`
}

eachOnBoth<Listen>(
  'listen_takes_%s',
  {
    nothing: (server) => server.listen(),
    null: (server) => server.listen(null as never),
    a_callback: (server) => server.listen(() => {}),
    port_0: (server) => server.listen(0),
    a_port_as_text: (server) => server.listen('0' as never),
    a_port_and_a_host: (server) => server.listen(0, '127.0.0.1'),
    a_port_a_host_and_a_backlog: (server) => server.listen(0, '::1', 5, () => {}),
    a_port_and_a_backlog: (server) => server.listen(0, 5),
    a_backlog_that_is_no_integer: (server) => server.listen(0, '127.0.0.1', 1.5),
    a_name: (server) => server.listen(0, 'localhost'),
    options: (server) => server.listen({ port: 0, host: '127.0.0.1', backlog: 3, exclusive: true }),
    an_undefined_port: (server) => server.listen({ port: undefined } as never),
    a_port_of_null: (server) => server.listen({ port: null } as never),
    ipv6_alone: (server) => server.listen({ port: 0, ipv6Only: true }),
    ipv6_alone_for_an_ipv4_host: (server) => server.listen({ port: 0, host: '127.0.0.1', ipv6Only: true }),
    a_path: (server, t) => server.listen(freePath(t)),
    a_path_as_an_option: (server, t) => server.listen({ path: freePath(t), readableAll: true, writableAll: true }),
    an_abstract_path: (server) => server.listen(`\0m-socket-net-${process.pid}-${Math.random()}`),
    a_negative_backlog: (server) => server.listen({ port: 0, backlog: -1 }),
    an_empty_host: (server) => server.listen(0, ''),
  },
  (listen) =>
    async (net, log, { t }) => {
      const server = net.createServer()
      logServer(server, log)
      log(shapeOf(server.address()))
      const done = Promise.race([eventOf(server, 'listening').catch(() => {}), eventOf(server, 'error')])
      log(listen(server, t) === server)
      log(server.listening)
      process.nextTick(() => log('tick'))
      await done
      log(shapeOf(server.address()))
      const closed = eventOf(server, 'close')
      log(server.close() === server)
      log(server.listening)
      await closed
    },
)

eachOnBoth<unknown[]>(
  'listen_refuses_%s',
  {
    a_port_that_is_too_large: [65_536],
    a_negative_port: [-1],
    a_port_with_a_fraction: [1.5],
    a_port_of_NaN: [NaN],
    a_port_of_a_space: [' '],
    a_port_as_a_text_that_is_too_large: ['70000'],
    true: [true],
    an_empty_object: [{}],
    a_path_that_is_no_text: [{ path: 5 }],
    an_empty_path: [{ path: '' }],
    a_long_object: [{ some: 'x'.repeat(200) }],
    an_array: [[]],
    a_negative_descriptor: [{ fd: -1 }],
    a_signal_that_is_none: [{ port: 0, signal: 'INVALID' }],
    access_to_an_abstract_path: [{ path: '\0abc', readableAll: true }],
    false: [false],
    a_symbol: [{ port: {} }],
  },
  (args) => (net, log) => {
    const server = net.createServer()
    log(thrownBy(() => server.listen(...(args as []))))
    log(server.listening)
    server.close()
  },
)

eachOnBoth<{ steps(server: Server, t: ExecutionContext): unknown }>(
  'listen_fails_on_%s',
  {
    an_address_of_another_machine: { steps: (server) => server.listen(0, '192.0.2.1') },
    a_port_in_use: {
      steps: (server) => server.listen(Number(process.env['M_SOCKET_TEST_PORT']), '127.0.0.1'),
    },
    a_port_in_use_everywhere: { steps: (server) => server.listen(Number(process.env['M_SOCKET_TEST_PORT'])) },
    a_path_in_use: {
      steps(server, t) {
        const path = freePath(t)
        writeFileSync(path, '')
        server.listen(path)
      },
    },
    a_path_in_a_folder_that_is_missing: { steps: (server) => server.listen('/nonexistent/socket') },
    // Older Nodes listen on what is left of them.
    ...(Number.parseInt(process.versions.node) >= 24 && {
      a_path_with_a_nul: { steps: (server: Server) => server.listen('/tmp/a\0b') },
      a_path_that_is_too_long: { steps: (server: Server) => server.listen(`/tmp/${'x'.repeat(200)}`) },
    }),
    a_descriptor_of_a_file: { steps: (server) => server.listen({ fd: 0 }) },
    a_descriptor_that_is_closed: { steps: (server) => server.listen({ fd: 900_000 }) },
    a_name_that_is_none: { steps: (server) => server.listen(0, '***.invalid') },
  },
  ({ steps }) =>
    async (net, log, { t }) => {
      const taken = net.createServer()
      const port = freePort()
      taken.listen(port)
      await eventOf(taken, 'listening')
      process.env['M_SOCKET_TEST_PORT'] = String(port)
      const server = net.createServer()
      logServer(server, (entry) => log(String(entry).replaceAll(/\/tmp\/m-socket-\w+/g, 'FOLDER')), port)
      const failed = eventOf(server, 'error')
      steps(server, t)
      log(`after the call ${server.listening}`)
      await failed
      log(server.listening)
      log(thrownBy(() => server.listen(0, '127.0.0.1')))
      await eventOf(server, 'listening')
      server.close()
      taken.close()
      await eventOf(server, 'close')
    },
)

onBoth('a_server_that_listens_cannot_listen_again_before_it_is_closed', async (_net, log, { server }) => {
  const listening = await server()
  logServer(listening, log)
  log(thrownBy(() => listening.listen(0)))
  const closed = eventOf(listening, 'close')
  listening.close((error) => log(`callback ${String(error)}`))
  log(thrownBy(() => listening.listen(0, '127.0.0.1')))
  await eventOf(listening, 'listening')
  log(listening.listening)
  listening.close((error) => log(`callback ${String(error)}`))
  await closed
  await eventOf(listening, 'close').catch(() => {})
})

onBoth('closing_what_does_not_listen_gives_the_callback_an_error', async (net, log) => {
  const server = net.createServer()
  logServer(server, log)
  server.close((error) => log(`callback ${errorText(error)}`))
  log('returned')
  await eventOf(server, 'close')
  await server[Symbol.asyncDispose]()
  server.listen(0)
  await server[Symbol.asyncDispose]()
  log(server.listening)
})

onBoth('a_close_during_the_lookup_ends_it', async (net, log) => {
  const server = net.createServer()
  logServer(server, log)
  server.listen(0, 'localhost', () => log('callback'))
  server.close()
  await eventOf(server, 'close')
  await new Promise((resolve) => setTimeout(resolve, 50))
  log(server.listening)
})

onBoth('an_abort_signal_closes_the_server', async (net, log) => {
  for (const early of [true, false]) {
    const controller = new AbortController()
    if (early) controller.abort()
    const server = net.createServer()
    logServer(server, log)
    const closed = eventOf(server, 'close')
    server.listen({ port: 0, signal: controller.signal })
    if (!early) await eventOf(server, 'listening')
    controller.abort()
    await closed
    log(server.listening)
  }
})

onBoth('the_file_of_a_path_is_removed_at_the_close_and_open_to_whom_it_says', async (net, log) => {
  const folder = mkdtempSync(join(tmpdir(), 'm-socket-'))
  const umask = process.umask(0o077)
  try {
    for (const [name, readableAll, writableAll] of [
      ['a', true, false],
      ['b', false, true],
      ['c', true, true],
      ['d'],
    ] as const) {
      const path = join(folder, name)
      const server = net.createServer().listen({ path, readableAll, writableAll })
      log((statSync(path).mode & 0o777).toString(8))
      await eventOf(server, 'listening')
      log(server.address() === path)
      server.close()
      log(statSync(path, { throwIfNoEntry: false }) === undefined)
      await eventOf(server, 'close')
    }
  } finally {
    process.umask(umask)
    rmSync(folder, { recursive: true })
  }
})

onBoth('connections_beyond_the_limit_are_dropped', async (net, log, { server, track }) => {
  const listening = await server((socket) => {
    log('connection')
    socket.resume()
  })
  listening.maxConnections = 1
  listening.on('drop', (data) => {
    log(`drop ${Object.getPrototypeOf(data)} ${Object.keys(data!).join()} ${data!.localAddress} ${data!.remoteFamily}`)
    log(data!.localPort === portOf(listening))
  })
  const first = track(net.connect(portOf(listening), '127.0.0.1'))
  await eventOf(first, 'connect')
  const second = track(net.connect(portOf(listening), '127.0.0.1').resume())
  await eventOf(second, 'close')
  listening.getConnections((error, count) => log(`${String(error)} ${count}`))
  log('asked')
  await new Promise(setImmediate)
  listening.maxConnections = 0
  const third = track(net.connect(portOf(listening), '127.0.0.1').resume())
  const thirdClosed = eventOf(third, 'close')
  await eventOf(third, 'connect')
  // On Node 20 a limit of 0 is none.
  if (Number.parseInt(process.versions.node) < 22) third.end()
  await thirdClosed
  const closed = eventOf(listening, 'close')
  listening.close()
  first.end()
  await closed
})

onBoth('close_waits_for_the_connections', async (net, log, { server, track }) => {
  const listening = await server((socket) => {
    log(`${(socket as unknown as { server: unknown }).server === listening}`)
    socket.on('close', () => log('socket closed')).resume()
  })
  logServer(listening, log)
  const client = track(net.connect(portOf(listening), '127.0.0.1').resume())
  await eventOf(listening, 'connection')
  listening.close(() => log('callback'))
  await new Promise((resolve) => setTimeout(resolve, 20))
  log('still open')
  client.end()
  await eventOf(listening, 'close')
})

onBoth('options_of_the_constructor_are_checked', (net: Net, log) => {
  const wrong: unknown[][] = [
    ['text'],
    [5],
    [{ keepAliveInitialDelay: 'x' }],
    [{ highWaterMark: 'x' }],
    [true],
    [Symbol('x')],
  ]
  if (Number.parseInt(process.versions.node) >= 22) wrong.push([{ blockList: {} }])
  for (const args of wrong) log(thrownBy(() => net.createServer(...(args as []))))
  for (const options of [
    undefined,
    null,
    {},
    { allowHalfOpen: 1, pauseOnConnect: 1, noDelay: 1, keepAlive: 1, keepAliveInitialDelay: 1999.9, highWaterMark: 5 },
    { keepAliveInitialDelay: -1, highWaterMark: -1 },
  ]) {
    const server = net.createServer(options as never) as unknown as Record<string, unknown>
    for (const name of [
      '_connections',
      '_handle',
      '_usingWorkers',
      '_unref',
      'allowHalfOpen',
      'pauseOnConnect',
      'noDelay',
      'keepAlive',
      'keepAliveInitialDelay',
      'highWaterMark',
      'listening',
      'maxConnections',
    ]) {
      log(`${name} ${String(server[name])}`)
    }
  }
})

onBoth('a_rejection_of_a_connection_listener_destroys_the_socket', async (net, log, { track }) => {
  const { EventEmitter } = await import('node:events')
  EventEmitter.captureRejections = true
  const server = net.createServer()
  EventEmitter.captureRejections = false
  server.on('connection', async (socket) => {
    socket.on('error', (error) => log(`socket ${error.message}`))
    throw new Error('rejected')
  })
  server.on('error', (error) => log(`server ${error.message}`))
  server.on('listening', async () => {
    throw new Error('of listening')
  })
  server.listen(0, '127.0.0.1')
  await eventOf(server, 'error')
  const client = track(net.connect(portOf(server), '127.0.0.1').resume())
  await eventOf(client, 'close')
  server.close()
})
