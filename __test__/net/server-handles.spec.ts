import { spawn } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { readlinkSync, statSync } from 'node:fs'
import nodeNet from 'node:net'
import { inherits } from 'node:util'

import test from 'ava'
import { Listener } from 'm-socket'
import ourNet from 'm-socket/net'

import { runModule } from '../support/child.js'
import { type Net, errorText, eventOf, onBoth, portOf, thrownBy } from '../support/both-nets.js'
import { freePath } from '../support/unix.js'

/** A connection that sends a byte and ends; resolves when it has closed. */
async function visit(net: Net, address: ReturnType<nodeNet.Server['address']>): Promise<void> {
  const socket = typeof address === 'string' ? net.connect(address) : net.connect(address!.port, '127.0.0.1')
  socket.resume().end('x')
  await eventOf(socket, 'close')
}

onBoth('the_constructor_can_be_called_inherited_from_and_extended', (net, log) => {
  const { Server } = net as unknown as { Server: { new (): nodeNet.Server; (options?: object): nodeNet.Server } }
  class Sub extends net.Server {
    readonly own = 1
  }
  function Old(this: nodeNet.Server) {
    ;(Server as unknown as Function).call(this)
  }
  inherits(Old, net.Server)
  for (const server of [Server(), new Server(), new Sub(), new (Old as unknown as typeof Sub)(), net.createServer()]) {
    log(server instanceof net.Server)
    log(server instanceof nodeNet.Server)
    log(server instanceof EventEmitter)
    log(server.listening)
  }
  log(new Sub() instanceof Sub)
  log(net.Server.name)
  log(Object.getPrototypeOf(net.Server) === EventEmitter)
})

test('nothing_of_the_prototype_of_node_net_is_inherited', (t) => {
  for (const key of Reflect.ownKeys(nodeNet.Server.prototype)) {
    t.true(Object.hasOwn(ourNet.Server.prototype, key), String(key))
  }
})

onBoth('a_server_listens_on_a_descriptor_and_closes_it', async (net, log, { t }) => {
  for (const options of [{ port: 0, host: '127.0.0.1' }, { path: freePath(t) }]) {
    const fd = Listener.bind(options).detach()
    const server = net.createServer((socket) => socket.pipe(socket))
    const listening = eventOf(server, 'listening')
    server.listen({ fd })
    await listening
    log(typeof server.address())
    await visit(net, 'path' in options ? options.path! : server.address())
    server.close()
    log(thrownBy(() => readlinkSync(`/proc/self/fd/${fd}`)).replaceAll(String(fd), 'FD'))
    await eventOf(server, 'close')
  }
})

onBoth('a_server_listens_with_the_handle_of_another_one', async (net, log) => {
  const first = net.createServer(() => log('first'))
  first.listen(0, '127.0.0.1')
  await eventOf(first, 'listening')
  for (const handle of [
    first,
    (first as unknown as { _handle: object })._handle,
    { handle: (first as unknown as { _handle: object })._handle },
  ]) {
    const second = net.createServer((socket) => {
      log('second')
      socket.resume()
    })
    second.listen(handle as never)
    await eventOf(second, 'listening')
    log(portOf(second) === portOf(first))
    await visit(net, first.address())
  }
  first.close()
})

test('a_listener_passes_to_the_server', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1' })
  const server = ourNet.createServer((socket) => socket.resume())
  server.listen({ handle: listener } as never)
  await eventOf(server, 'listening')
  await visit(nodeNet, server.address())
  server.close()
  await eventOf(server, 'close')
  t.is(listener.fd, -1)
})

test('a_handle_of_node_is_duplicated_and_closed_with_the_server', async (t) => {
  const owner = nodeNet.createServer().listen(0, '127.0.0.1')
  await eventOf(owner, 'listening')
  const handle = (owner as unknown as { _handle: object })._handle
  const server = ourNet.createServer((socket) => socket.resume()).listen(handle as never)
  await eventOf(server, 'listening')
  t.is(portOf(server), portOf(owner))
  const { port } = server.address() as nodeNet.AddressInfo
  server.close()
  await eventOf(server, 'close')
  const refused = nodeNet.connect(port, '127.0.0.1')
  t.is(((await eventOf(refused, 'error'))[0] as NodeJS.ErrnoException).code, 'ECONNREFUSED')
})

interface Message {
  readonly server?: nodeNet.Server
  readonly socket?: { readonly server: nodeNet.Server }
  readonly error?: unknown
}

onBoth('the_channels_of_diagnostics_get_what_happens', async (net, log) => {
  const own = new Set<nodeNet.Server>()
  const names = [
    'tracing:net.server.listen:asyncStart',
    'tracing:net.server.listen:asyncEnd',
    'tracing:net.server.listen:error',
    'net.server.socket',
  ]
  const subscribed = names.map((name) => {
    const onMessage = (message: Message) =>
      own.has((message.socket ?? message).server!) &&
      log(`${name} ${Object.keys(message).join()} ${errorText(message.error)}`)
    channel(name).subscribe(onMessage as () => void)
    return () => channel(name).unsubscribe(onMessage as () => void)
  })
  try {
    const listening = net.createServer((socket) => {
      log('connection')
      socket.resume()
    })
    own.add(listening)
    listening.listen(0, '127.0.0.1')
    await eventOf(listening, 'listening')
    const failing = net.createServer()
    own.add(failing)
    failing.on('error', () => log('error'))
    failing.listen({ port: 0, host: '192.0.2.1' })
    await eventOf(failing, 'error')
    const client = nodeNet.connect(portOf(listening), '127.0.0.1').resume()
    await eventOf(listening, 'connection')
    client.destroy()
    listening.close()
  } finally {
    for (const unsubscribe of subscribed) unsubscribe()
  }
})

onBoth('connections_come_in_the_context_of_listen', async (net, log, { t }) => {
  const storage = new AsyncLocalStorage<string>()
  const server = storage.run('maker', () => net.createServer())
  server.on('connection', (socket) => {
    log(`connection ${storage.getStore()}`)
    socket.resume().on('end', () => log('end'))
  })
  server.on('listening', () => log(`listening ${storage.getStore()}`))
  storage.run('listen', () => server.listen(0, '127.0.0.1'))
  await eventOf(server, 'listening')
  await storage.run('client', () => visit(nodeNet, server.address()))
  await storage.run('client', () => visit(nodeNet, server.address()))
  storage.run('close', () => server.close(() => log(`close ${storage.getStore()}`)))
  await eventOf(server, 'close')
  t.pass()
})

onBoth('a_block_list_closes_connections', async (net, log) => {
  if (Number.parseInt(process.versions.node) < 22) return log('Node 20 has none')
  const blockList = new net.BlockList()
  blockList.addAddress('127.0.0.1')
  const server = net.createServer({ blockList } as never, () => log('connection')).listen(0)
  await eventOf(server, 'listening')
  await visit(net, server.address())
  server.close()
  log('closed')
})

onBoth('options_of_the_server_are_those_of_its_sockets', async (net, log, { server }) => {
  const listening = await server(
    (socket) => {
      log(
        `${socket.allowHalfOpen} ${socket.isPaused()} ${socket.readableHighWaterMark} ${socket.writableHighWaterMark}`,
      )
      socket.end()
      socket.resume()
    },
    {
      allowHalfOpen: true,
      pauseOnConnect: true,
      highWaterMark: 1000,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 5000,
    },
  )
  await visit(net, listening.address())
})

test('accepted_sockets_have_no_delay_and_keep_alive_of_the_listening_one', async (t) => {
  const server = ourNet.createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 })
  for (const change of [() => {}, () => Object.assign(server, { keepAliveInitialDelay: 7 })]) {
    change()
    if (!server.listening) await eventOf(server.listen(0, '127.0.0.1'), 'listening')
    const client = nodeNet.connect(portOf(server), '127.0.0.1')
    const [socket] = (await eventOf(server, 'connection')) as [{ socket: import('m-socket').Socket }]
    t.true(socket.socket.getOption('noDelay'))
    t.like(socket.socket.getOption('keepAlive'), {
      idle: (server as unknown as { keepAliveInitialDelay: number }).keepAliveInitialDelay * 1000,
    })
    client.destroy()
  }
  server.close()
})

test('accepted_sockets_have_keep_alive_also_without_a_delay', async (t) => {
  const server = ourNet.createServer({ keepAlive: true }).listen(0, '127.0.0.1')
  await eventOf(server, 'listening')
  const client = nodeNet.connect(portOf(server), '127.0.0.1')
  const [socket] = (await eventOf(server, 'connection')) as [{ socket: import('m-socket').Socket }]
  t.truthy(socket.socket.getOption('keepAlive'))
  client.destroy()
  server.close()
})

test('options_of_the_kernel_and_of_the_file_are_taken_by_listen', async (t) => {
  const path = freePath(t)
  const server = ourNet.createServer()
  await eventOf(server.listen({ path, mode: 0o600 } as never), 'listening')
  t.is(statSync(path).mode & 0o777, 0o600)
  server.close()
  await eventOf(server, 'close')
  await eventOf(server.listen({ path, unlink: false } as never), 'listening')
  server.close()
  t.true(statSync(path).isSocket())
  await eventOf(server.listen({ path, unlink: 'stale' } as never), 'listening')
  server.close()
  await eventOf(server.listen({ port: 0, receiveBufferSize: 20_000 } as never), 'listening')
  server.close()
  t.throws(() => server.listen({ port: 0, receiveBufferSize: 'x' } as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => server.listen({ port: 0, mode: 0o600 } as never), { code: 'ERR_INVALID_ARG_VALUE' })
  t.false(server.listening)
})

test('a_server_that_is_unreferenced_lets_the_process_end', async (t) => {
  for (const steps of [
    'net.createServer().unref().listen(0)',
    'net.createServer().listen(0).unref()',
    'net.createServer().listen(0).unref().ref().close()',
  ]) {
    const { code, stderr } = await runModule(t, `import net from 'm-socket/net'; ${steps}`)
    t.is(code, 0, stderr)
  }
})

test('a_server_can_be_sent_to_a_child', async (t) => {
  const script = `process.on('message', (_, server) => {
    server.on('connection', (socket) => socket.end('child'))
    process.send('ready')
  })`
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(() => child.kill())
  const server = ourNet.createServer().listen(0, '127.0.0.1')
  await eventOf(server, 'listening')
  child.send('server', server as never)
  await eventOf(child, 'message')
  const { port } = server.address() as nodeNet.AddressInfo
  server.close()
  const client = ourNet.connect(port, '127.0.0.1')
  const [data] = await eventOf(client, 'data')
  t.is(String(data), 'child')
  client.destroy()
})

test('descriptors_are_closed_with_the_server', async (t) => {
  const { stdout, stderr } = await runModule(
    t,
    `import { once } from 'node:events'
    import { readdirSync } from 'node:fs'
    import net from 'm-socket/net'
    const counts = []
    for (let round = 0; round < 2; round++) {
      const server = net.createServer().listen(0)
      const handle = server._handle
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      counts.push(readdirSync('/proc/self/fd').length, handle.fd, server._handle)
    }
    console.log(counts[0] === counts[3], counts[4], counts[5])`,
  )
  t.is(stdout, 'true -1 null\n', stderr)
})
