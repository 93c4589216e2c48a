import { closeSync, openSync } from 'node:fs'
import nodeNet from 'node:net'
import process from 'node:process'

import test from 'ava'
import { Listener } from 'm-socket'
import * as native from 'm-socket/native'
import ourNet from 'm-socket/net'

import { type Net, eachOnBoth, eventOf, logEvents, onBoth, portOf, thrownBy } from '../support/both-nets.js'
import { openDescriptors, unconnectedDescriptor } from '../support/descriptors.js'
import { closeAtEnd } from '../support/pair.js'
import { freePath } from '../support/unix.js'

const FAMILIES = { IPv4: 4, IPv6: 6, unix: 0 }

/** A duplicate of the descriptor of a socket that has connected, which is closed. */
async function connectedDescriptor(port: number): Promise<number> {
  const { Socket } = await import('m-socket')
  const socket = Socket.connect({ host: '127.0.0.1', port })
  const fd = native.duplicate(socket.fd)
  socket.close()
  return fd
}

onBoth('a_connected_descriptor_is_a_stream', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end('hello')))
  const client = track(new net.Socket({ fd: await connectedDescriptor(port) }))
  log(`${client.connecting} ${client.pending} ${client.readyState} ${client instanceof net.Socket}`)
  logEvents(client, log, { port, without: ['connect', 'ready'] })
  client.resume()
  client.end('text')
  await eventOf(client, 'close')
  log(`${client.bytesRead} ${client.bytesWritten}`)
})

for (const [name, family] of Object.entries(FAMILIES)) {
  onBoth(`an_unconnected_descriptor_is_connected: ${name}`, async (net, log, { server, track, t }) => {
    const host = family === 6 ? '::1' : '127.0.0.1'
    const path = freePath(t)
    const listen = family === 0 ? { path } : { host, port: 0 }
    const listening = await server((socket) => socket.end('hello'), { listen })
    const port = family === 0 ? 0 : portOf(listening)
    const client = track(new net.Socket({ fd: unconnectedDescriptor(family) }))
    log(`${client.connecting} ${client.pending} ${client.readyState} ${client instanceof net.Socket}`)
    logEvents(client, (entry) => log(String(entry).replaceAll(path, 'PATH')), { port })
    if (family === 0) client.connect(path)
    else client.connect(port, host)
    await eventOf(client, 'close')
    log(client.bytesRead)
  })
}

onBoth('a_bound_descriptor_connects_from_its_address', async (net, log, { server, track }) => {
  const port = portOf(await server((socket) => socket.end(socket.remoteAddress!)))
  const client = track(new net.Socket({ fd: unconnectedDescriptor(4, '127.0.0.2') }))
  client.connect(port, '127.0.0.1')
  log(String((await eventOf(client, 'data'))[0]))
  log(String(client.localAddress))
})

onBoth('a_refused_descriptor_is_closed_with_its_stream', async (net, log, { server, track }) => {
  const listening = await server()
  const port = portOf(listening)
  await new Promise((resolve) => listening.close(resolve))
  const client = track(new net.Socket({ fd: unconnectedDescriptor(4) }))
  logEvents(client, log, { port })
  client.connect(port, '127.0.0.1')
  await eventOf(client, 'close')
})

test('a_descriptor_that_is_never_connected_is_closed_with_its_stream', async (t) => {
  for (const use of [
    (socket: nodeNet.Socket) => void socket.destroy(),
    (socket: nodeNet.Socket) => void socket.on('error', () => {}).write('x'),
    (socket: nodeNet.Socket) => void socket.on('error', () => {}).end(),
  ]) {
    const fd = unconnectedDescriptor(4)
    const kind = openDescriptors().get(fd)
    const socket = new ourNet.Socket({ fd })
    t.is(Object.getPrototypeOf(socket), ourNet.Socket.prototype)
    use(socket)
    socket.destroySoon()
    await eventOf(socket, 'close')
    t.not(openDescriptors().get(fd), kind)
  }
})

eachOnBoth<() => number>(
  'a_descriptor_that_is_no_socket: %s',
  {
    'a number that is not open': () => 2 ** 20,
    'a negative number': () => -1,
    'a file': () => openSync(process.execPath, 'r'),
    'a folder': () => openSync('/', 'r'),
  },
  (open) =>
    (net, log, { track }) => {
      const fd = open()
      log(thrownBy(() => track(new net.Socket({ fd }))))
      if (fd >= 0 && fd !== 2 ** 20) closeSync(fd)
    },
)

eachOnBoth<unknown>(
  'a_descriptor_of_a_wrong_type: %s',
  { text: '3', object: {}, fraction: 0.5, NaN, null: null },
  (fd) =>
    (net, log, { track }) => {
      log(thrownBy(() => track(new net.Socket({ fd: fd as number }))).replace(/:.*/, ''))
    },
)

test('what_only_Node_can_use_is_a_socket_of_Nodes', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ host: '127.0.0.1', port: 0 }))
  const { port } = listener.address as { port: number }
  const own = new nodeNet.Socket().connect(port, '127.0.0.1') as nodeNet.Socket & { _handle: unknown }
  await eventOf(own, 'connect')
  const over = new ourNet.Socket({ handle: own._handle } as nodeNet.SocketConstructorOpts)
  t.is(over.constructor, nodeNet.Socket)
  t.true(over instanceof ourNet.Socket)
  over.destroy()
  await eventOf(over, 'close')
  own.destroy()
})

eachOnBoth<(net: Net, fd: number) => nodeNet.Socket>(
  'a_descriptor_may_be_read_or_written_only: %s',
  {
    'readable: false': (net, fd) => new net.Socket({ fd, readable: false, writable: true }),
    'writable: false': (net, fd) => new net.Socket({ fd, readable: true, writable: false }),
    neither: (net, fd) => new net.Socket({ fd, readable: false, writable: false }),
    'a number alone': (net, fd) => new (net.Socket as unknown as new (fd: number) => nodeNet.Socket)(fd),
  },
  (make) =>
    async (net, log, { server, track }) => {
      const port = portOf(await server((socket) => socket.end('hello')))
      const client = track(make(net, await connectedDescriptor(port)))
      log(`${client.readable} ${client.writable} ${client.readyState}`)
      const closed = eventOf(client, 'close')
      client.destroy()
      await closed
    },
)

test('a_subclass_takes_no_descriptor_that_is_no_socket_and_leaves_it_open', (t) => {
  class Sub extends ourNet.Socket {}
  function Old(this: nodeNet.Socket, options: object): void {
    ;(ourNet.Socket as unknown as (this: nodeNet.Socket, options: object) => void).call(this, options)
  }
  Object.setPrototypeOf(Old.prototype, ourNet.Socket.prototype)
  const fd = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(fd))
  const expected = { code: 'ERR_INVALID_ARG_VALUE', message: /'options\.fd' must be that of a TCP or Unix socket/ }
  t.throws(() => new Sub({ fd }), expected)
  t.throws(() => new (Old as unknown as new (options: object) => unknown)({ fd }), expected)
  t.true(openDescriptors().has(fd))
})
