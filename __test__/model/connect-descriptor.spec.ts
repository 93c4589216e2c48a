// A descriptor of the program's that is taken over in order to connect it.

import { closeSync, openSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { Listener, Socket, type SocketConnectOptions } from 'm-socket'
import * as native from 'm-socket/native'

import type { Socket as WithInternals } from '../../lib/model/socket.js'
import { blackhole } from '../support/blackhole.js'
import {
  FAMILIES,
  type Family,
  addressOf,
  closeAtEnd,
  connectedPair,
  resetAtEnd,
  testListener,
} from '../support/pair.js'
import { acceptNext, connectOutcome, receiveToEnd } from '../support/waiting.js'

const NUMBERS: Record<Family, number> = { IPv4: 4, IPv6: 6, unix: 0 }

/** A stream socket that no object owns. */
function openSocket(family: Family = 'IPv4', bindTo?: string): number {
  const handle = native.open(NUMBERS[family])
  if (bindTo !== undefined) native.bind(handle, bindTo, 0)
  const fd = native.descriptor(handle)
  native.disown(handle)
  return fd
}

function connectDescriptor(fd: number, options: SocketConnectOptions): Socket {
  const { connectDescriptor: connect } = Socket as unknown as typeof WithInternals
  return connect.call(Socket as never, fd, options) as unknown as Socket
}

function connecting(t: ExecutionContext, fd: number, listener: Listener, options: object = {}): Socket {
  return resetAtEnd(t, connectDescriptor(fd, { ...addressOf(listener), ...options } as SocketConnectOptions))
}

for (const family of FAMILIES) {
  test(`an_unconnected_descriptor_is_connected: ${family}`, async (t) => {
    const listener = testListener(t, family)
    const fd = openSocket(family)
    const client = connecting(t, fd, listener, { sendBufferSize: 20_000 })
    t.is(client.fd, fd)
    t.is(client.getOption('sendBufferSize'), 40_000)
    const server = resetAtEnd(t, await acceptNext(listener))
    t.is(await connectOutcome(client), 'open')
    client.send('arrives')
    client.close()
    t.is((await receiveToEnd(server)).toString(), 'arrives')
  })
}

test('a_bound_descriptor_connects_from_its_address', async (t) => {
  const listener = testListener(t)
  const client = connecting(t, openSocket('IPv4', '127.0.0.2'), listener)
  t.like(client.localAddress, { address: '127.0.0.2' })
})

test('a_refused_connect_is_reported_as_of_any_socket', async (t) => {
  const listener = testListener(t)
  const address = addressOf(listener) as { host: string; port: number }
  listener.close()
  const client = resetAtEnd(t, connectDescriptor(openSocket(), address))
  t.is(await connectOutcome(client), 'closed')
  t.throws(() => client.send('x'), { code: 'ECONNREFUSED', message: /^connect ECONNREFUSED 127\.0\.0\.1:/ })
})

test('a_descriptor_that_cannot_be_connected_is_refused_and_stays_as_it_was', async (t) => {
  const listener = testListener(t)
  const refuse = (fd: number, code: string): void => {
    t.throws(() => connecting(t, fd, listener), { name: 'SocketError', code, message: new RegExp(`^connect ${code}`) })
  }
  refuse(2 ** 31 - 1, 'EBADF')
  const file = openSync('/dev/null', 'r')
  refuse(file, 'ENOTSOCK')
  closeSync(file)

  const { client, server } = await connectedPair(t)
  refuse(client.fd, 'EEXIST')
  refuse(listener.fd, 'EEXIST')
  const { fd } = (server as unknown as WithInternals).giveUp()
  refuse(fd, 'EISCONN')
  t.is(resetAtEnd(t, Socket.adopt(fd)).send('as it was'), 'sent')

  const listening = testListener(t).detach()
  refuse(listening, 'EISCONN')
  closeAtEnd(t, Listener.bind({ fd: listening }))

  const pending = resetAtEnd(t, Socket.connect(addressOf(await blackhole(t, '127.0.0.1')) as { port: number }))
  const released = (pending as unknown as WithInternals).giveUp()
  refuse(released.fd, 'EALREADY')
  t.is(resetAtEnd(t, Socket.adopt(released.fd)).state, 'connecting')
})

test('wrong_arguments_leave_the_descriptor_to_its_owner', (t) => {
  const listener = testListener(t)
  const fd = openSocket()
  for (const bad of [-1, 0.5, NaN]) {
    t.throws(() => connecting(t, bad, listener), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  }
  t.throws(() => connecting(t, '3' as never, listener), { instanceOf: TypeError })
  t.throws(() => connectDescriptor(fd, { port: -1 }), { code: 'ERR_SOCKET_BAD_PORT' })
  t.throws(() => connecting(t, fd, listener, { noDelay: 'yes' }), { instanceOf: TypeError })
  t.throws(() => connecting(t, fd, listener, { congestion: 'nonesuch' }), { code: 'ENOENT', message: /^setsockopt/ })
  t.throws(() => connecting(t, fd, listener, { localAddress: '192.0.2.1' }), { message: /^bind EADDRNOTAVAIL/ })
  t.is(connecting(t, fd, listener).fd, fd)
})
