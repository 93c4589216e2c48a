import { closeSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'

import test from 'ava'
import { Listener, Multiplexer, Socket, SocketClosedError, SocketError } from 'm-socket'
import * as native from 'm-socket/native'

import { descriptorFlags, isOpen, openDescriptors } from '../support/descriptors.js'
import { distinctBytes, fileWith, openFor } from '../support/files.js'
import { addressOf, closeAtEnd, connectedPair, fillSendQueue, resetAtEnd, testListener } from '../support/pair.js'
import {
  closeAll,
  closeAllAtEnd,
  identity,
  receivePassed,
  receiveText,
  smallUnixPair,
  unixPair,
} from '../support/passing.js'
import { freePath } from '../support/unix.js'
import { acceptNext, receiveExactly, until } from '../support/waiting.js'

/** `SCM_MAX_FD`. */
const MOST = 253

const fd = (t: Parameters<typeof openFor>[0], text = 'passed'): number => openFor(t, fileWith(t, Buffer.from(text)))

test.serial('a_file_is_passed_with_bytes_and_is_close_on_exec_from_its_birth', async (t) => {
  const { client, server } = unixPair(t)
  const file = fd(t)
  t.is(client.sendDescriptors([file], 'take it'), 'sent')
  const [text, passed] = await receiveText(t, server)
  t.is(text, 'take it')
  t.not(passed, file)
  t.is(identity(passed!), identity(file))
  t.true(descriptorFlags(passed!).closeOnExec)
  closeSync(file)
  const into = Buffer.alloc(10)
  t.is(readSync(passed!, into), 6)
  t.is(into.toString('utf8', 0, 6), 'passed')
  t.is(server.receiveDescriptors(into), null)
  t.is(client.bytesSent, 7)
  t.is(server.bytesReceived, 7)
})

test.serial('data_may_be_bytes_a_string_or_pieces', async (t) => {
  const { client, server } = unixPair(t)
  const file = fd(t)
  for (const [data, expected] of [
    [Buffer.from('bytes'), 'bytes'],
    ['grüße', 'grüße'],
    [[Buffer.from('pie'), new Uint8Array(0), Buffer.from('ces')], 'pieces'],
    [[...Array.from({ length: 3000 }, () => new Uint8Array(0)), Buffer.from('late')], 'late'],
  ] as const) {
    t.is(client.sendDescriptors([file], data), 'sent')
    const [text, ...passed] = await receiveText(t, server)
    t.is(text, expected)
    t.is(passed.length, 1)
  }
  t.is(
    client.sendDescriptors(
      [file],
      Array.from({ length: 3000 }, (_, index) => Buffer.from([index % 251])),
    ),
    'sent',
  )
  const into = new Uint8Array(4000)
  let length = 0
  const descriptors: number[] = []
  while (length < 3000) {
    const part = await receivePassed(server, into.subarray(length))
    length += part.length
    descriptors.push(...part.descriptors)
  }
  closeAllAtEnd(t, descriptors)
  t.is(descriptors.length, 1)
  t.true(into.subarray(0, 3000).every((byte, index) => byte === index % 251))
})

test.serial('targets_are_sockets_listeners_and_numbers_in_order', async (t) => {
  const { client, server } = unixPair(t)
  const listener = testListener(t)
  const tcp = await connectedPair(t)
  const file = fd(t)
  t.is(client.sendDescriptors([file, listener, tcp.server, file], 'x'), 'sent')
  const [, ...passed] = await receiveText(t, server)
  t.deepEqual(passed.map(identity), [file, listener.fd, tcp.server.fd, file].map(identity))
  t.is(new Set(passed).size, 4)
  t.is(tcp.client.send('still ours'), 'sent')
  t.is((await receiveExactly(tcp.server, 10)).toString(), 'still ours')
})

test.serial('without_targets_it_sends_bytes_alone', async (t) => {
  const { client, server } = unixPair(t)
  t.is(client.sendDescriptors([], 'bytes'), 'sent')
  t.deepEqual(await receiveText(t, server), ['bytes'])
})

test.serial('a_passed_listener_accepts', async (t) => {
  const { client, server } = unixPair(t)
  const listener = testListener(t)
  const to = addressOf(listener)
  t.is(client.sendDescriptors([listener], 'listener'), 'sent')
  listener.close()
  const { descriptors } = await receivePassed(server)
  const passed = closeAtEnd(t, Listener.bind({ fd: descriptors[0]! }))
  const near = resetAtEnd(t, Socket.connect(to))
  const far = resetAtEnd(t, await acceptNext(passed))
  t.is(near.send('hello'), 'sent')
  t.is((await receiveExactly(far, 5)).toString(), 'hello')
})

test.serial('a_passed_connection_goes_on_where_it_was', async (t) => {
  const { client, server } = unixPair(t)
  const tcp = await connectedPair(t)
  t.is(tcp.client.send('first second'), 'sent')
  t.is((await receiveExactly(tcp.server, 6)).toString(), 'first ')
  t.is(client.sendDescriptors([tcp.server], 'x'), 'sent')
  const { descriptors } = await receivePassed(server)
  const adopted = resetAtEnd(t, Socket.adopt(descriptors[0]!))
  t.is((await receiveExactly(adopted, 6)).toString(), 'second')
  t.is(adopted.send('answer'), 'sent')
  t.is((await receiveExactly(tcp.client, 6)).toString(), 'answer')
})

test.serial('the_ends_of_a_pipe_and_a_unix_socket_are_passed', async (t) => {
  const { client, server } = unixPair(t)
  const other = unixPair(t)
  const writer = openFor(t, '/dev/null', 'w')
  t.is(client.sendDescriptors([other.server, writer], 'x'), 'sent')
  const { descriptors } = await receivePassed(server)
  const adopted = resetAtEnd(t, Socket.adopt(descriptors[0]!))
  t.is(writeSync(descriptors[1]!, 'into the void'), 13)
  closeSync(descriptors[1]!)
  // A descriptor travels over a socket that has travelled itself.
  t.is(other.client.sendDescriptors([client], 'y'), 'sent')
  const [text, ...passed] = await receiveText(t, adopted)
  t.deepEqual([text, identity(passed[0]!)], ['y', identity(client.fd)])
})

test.serial('253_descriptors_go_with_one_byte_and_254_are_refused', async (t) => {
  const { client, server } = unixPair(t)
  const files = Array.from({ length: 3 }, () => fd(t))
  const targets = Array.from({ length: MOST }, (_, index) => files[index % 3]!)
  t.throws(() => client.sendDescriptors([...targets, files[0]!], 'x'), {
    instanceOf: RangeError,
    code: 'ERR_OUT_OF_RANGE',
    message: 'The value of "targets.length" is out of range. It must be <= 253. Received 254',
  })
  t.is(client.sendDescriptors(targets, 'x'), 'sent')
  const { length, descriptors } = await receivePassed(server)
  closeAllAtEnd(t, descriptors)
  t.is(length, 1)
  t.deepEqual(descriptors.map(identity), targets.map(identity))
  t.true(descriptors.every((it) => descriptorFlags(it).closeOnExec))
})

test.serial('messages_are_not_joined_and_bytes_before_descriptors_come_with_them', async (t) => {
  const { client, server } = unixPair(t)
  const files = [fd(t), fd(t)]
  client.send('plain ')
  client.sendDescriptors([files[0]!], 'one')
  client.sendDescriptors([files[1]!, files[0]!], 'two')
  client.send(' after')
  const [first, ...one] = await receiveText(t, server)
  t.deepEqual([first, ...one.map(identity)], ['plain one', identity(files[0]!)])
  const [second, ...two] = await receiveText(t, server)
  t.deepEqual([second, ...two.map(identity)], ['two', identity(files[1]!), identity(files[0]!)])
  t.deepEqual(await receiveText(t, server), [' after'])
})

test.serial('a_small_array_gets_the_descriptors_with_the_first_byte', async (t) => {
  const { client, server } = unixPair(t)
  client.sendDescriptors([fd(t), fd(t)], 'abc')
  client.send('def')
  const into = new Uint8Array(1)
  const { length, descriptors } = await receivePassed(server, into)
  closeAllAtEnd(t, descriptors)
  t.is(length, 1)
  t.is(descriptors.length, 2)
  t.deepEqual(await receiveText(t, server), ['bcdef'])
})

test.serial('a_plain_receive_has_the_kernel_close_what_was_passed', async (t) => {
  const { client, server } = unixPair(t)
  const file = fd(t)
  const before = openDescriptors().size
  client.sendDescriptors([file], 'dropped')
  t.is((await receiveExactly(server, 7)).toString(), 'dropped')
  client.sendDescriptors([file], 'peeked at')
  const into = new Uint8Array(4)
  await until(() => server.peek(into) === 4, server)
  t.is(openDescriptors().size, before)
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['peeked at', 1])
})

test.serial('input_that_was_given_back_comes_first_and_alone', async (t) => {
  const { client, server } = unixPair(t)
  client.send('back')
  await receiveExactly(server, 4)
  client.sendDescriptors([fd(t)], 'new')
  native.unread((server as unknown as { handle: number }).handle, Buffer.from('back'))
  t.deepEqual(await receiveText(t, server), ['back'])
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['new', 1])
})

test.serial('the_end_comes_after_all_descriptors', async (t) => {
  const { client, server } = unixPair(t)
  client.sendDescriptors([fd(t)], 'last')
  client.close()
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['last', 1])
  const end = { length: 0, descriptors: [] }
  t.deepEqual(await receivePassed(server), end)
  t.deepEqual(server.receiveDescriptors(new Uint8Array(1)), end)
  t.is(server.state, 'open')
})

test.serial('descriptors_that_are_not_received_are_closed_with_the_connection', (t) => {
  const { client, server } = unixPair(t)
  const file = fd(t)
  const before = openDescriptors().size
  for (let count = 0; count < 20; count++) t.is(client.sendDescriptors([file, server], 'x'), 'sent')
  t.is(openDescriptors().size, before)
  client.close()
  server.close()
  t.is(openDescriptors().size, before - 2)
})

test.serial('it_goes_behind_what_is_queued_or_not_at_all', async (t) => {
  const { client, server } = smallUnixPair(t)
  const file = fd(t)
  const accepted = fillSendQueue(client, distinctBytes(4096))
  t.is(client.sendDescriptors([file], 'passed'), 'not-sent')
  t.true(client.queued > 0)
  // The kernel has room as soon as the peer has received, and then the queue goes first.
  const bytes: Uint8Array[] = []
  let status: string = 'not-sent'
  let received = 0
  while (status === 'not-sent') {
    const into = new Uint8Array(4096)
    const { length, descriptors } = await receivePassed(server, into)
    t.deepEqual(descriptors, [])
    bytes.push(into.subarray(0, length))
    received += length
    status = client.sendDescriptors([file], 'passed')
  }
  t.is(status, 'sent')
  t.is(client.queued, 0)
  let passed: number[] = []
  while (received < accepted + 6) {
    const into = new Uint8Array(4096)
    const { length, descriptors } = await receivePassed(server, into)
    bytes.push(into.subarray(0, length))
    received += length
    if (descriptors.length > 0) t.is(received, accepted + 6)
    passed = [...passed, ...descriptors]
  }
  closeAllAtEnd(t, passed)
  t.is(passed.length, 1)
  const sent = Array.from({ length: accepted / 4096 }, () => distinctBytes(4096))
  t.true(Buffer.concat(bytes).equals(Buffer.concat([...sent, Buffer.from('passed')])))
})

test.serial('what_the_kernel_has_no_room_for_is_reported_as_writable_when_it_has', async (t) => {
  const { client, server } = smallUnixPair(t)
  const file = fd(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(client, 'w')
  let sent = 0
  while (client.sendDescriptors([file], 'x') === 'sent') sent++
  t.true(sent > 0)
  t.is(client.queued, 0)
  t.deepEqual(
    multiplexer.poll().filter(({ writable }) => writable),
    [],
  )
  for (let count = 0; count < sent; count++) closeAll((await receivePassed(server)).descriptors)
  const [event] = await multiplexer.wait()
  t.true(event?.writable)
  t.is(client.sendDescriptors([file], 'x'), 'sent')
})

test.serial('bytes_that_the_kernel_does_not_take_with_the_first_are_queued', async (t) => {
  const { client, server } = smallUnixPair(t)
  client.sendQueueLimit = 0
  const data = distinctBytes(1_000_000)
  t.is(client.sendDescriptors([fd(t)], data), 'sent')
  t.true(client.queued > 900_000)
  t.is(client.sendDescriptors([fd(t)], 'later'), 'not-sent')
  const into = Buffer.alloc(data.length)
  const descriptors: number[] = []
  let received = 0
  while (received < data.length) {
    const part = await receivePassed(server, into.subarray(received))
    if (part.descriptors.length > 0) t.is(received, 0)
    descriptors.push(...part.descriptors)
    received += part.length
  }
  closeAllAtEnd(t, descriptors)
  t.is(descriptors.length, 1)
  t.true(into.equals(data))
  await until(() => client.queued === 0)
  t.is(client.sendDescriptors([fd(t)], 'later'), 'sent')
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['later', 1])
})

test.serial('nothing_is_sent_after_the_end_of_either_side', async (t) => {
  const file = fd(t)
  const ended = unixPair(t)
  ended.client.shutdown()
  t.is(ended.client.sendDescriptors([file], 'x'), 'closed')
  const closed = unixPair(t)
  closed.client.close()
  t.is(closed.client.sendDescriptors([file], 'x'), 'closed')
  t.throws(() => closed.client.receiveDescriptors(new Uint8Array(1)), {
    instanceOf: SocketClosedError,
    message: 'receiveDescriptors: the socket is closed',
  })
  const broken = unixPair(t)
  broken.server.close()
  t.is(broken.client.sendDescriptors([file], 'x'), 'closed')
  t.throws(() => broken.client.receiveDescriptors(new Uint8Array(1)), { instanceOf: SocketError, code: 'EPIPE' })
  t.is(broken.client.state, 'closed')
})

test.serial('a_reset_is_thrown_after_what_came_before', async (t) => {
  const { client, server } = unixPair(t)
  server.sendDescriptors([fd(t)], 'before')
  client.send('unread')
  server.reset()
  const [text, ...passed] = await receiveText(t, client)
  t.deepEqual([text, passed.length], ['before', 1])
  t.throws(() => client.receiveDescriptors(new Uint8Array(1)), { code: 'ECONNRESET' })
  t.throws(() => client.receiveDescriptors(new Uint8Array(1)), { instanceOf: SocketClosedError })
})

test.serial('tcp_is_refused_and_goes_on', async (t) => {
  const { client, server } = await connectedPair(t)
  const into = new Uint8Array(8)
  for (const [call, syscall] of [
    [() => client.sendDescriptors([fd(t)], 'x'), 'sendmsg'],
    [() => client.receiveDescriptors(into), 'recvmsg'],
  ] as const) {
    const error = t.throws(call, { instanceOf: SocketError, code: 'ENOTSUP' })
    t.is(error?.message, `${syscall} ENOTSUP: descriptors are passed over Unix sockets`)
  }
  t.is(client.bytesSent, 0)
  t.is(client.send('works'), 'sent')
  t.is((await receiveExactly(server, 5)).toString(), 'works')
})

test.serial('a_number_that_is_not_open_is_named_and_nothing_is_sent', async (t) => {
  const { client, server } = unixPair(t)
  const file = fd(t)
  const error = t.throws(() => client.sendDescriptors([file, 999_999], 'x'), { instanceOf: SocketError, code: 'EBADF' })
  t.is(error?.message, 'sendmsg EBADF: targets[1] (999999) is not an open descriptor')
  t.is((error as SocketError).syscall, 'sendmsg')
  t.is(client.bytesSent, 0)
  t.is(client.sendDescriptors([file], 'next'), 'sent')
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['next', 1])
})

test.serial('a_closed_target_is_named_and_nothing_is_sent', (t) => {
  const { client } = unixPair(t)
  const listener = testListener(t)
  listener.close()
  t.throws(() => client.sendDescriptors([listener], 'x'), {
    instanceOf: SocketClosedError,
    message: 'sendDescriptors: targets[0]: the listener is closed',
  })
  const failed = Socket.connect({ path: freePath(t) })
  void failed.state
  t.is(failed.state, 'closed')
  t.throws(() => client.sendDescriptors([1, failed], 'x'), { instanceOf: SocketClosedError })
  t.is(client.bytesSent, 0)
  failed.close()
})

test.serial('what_is_no_target_is_refused_and_nothing_is_sent', (t) => {
  const { client } = unixPair(t)
  const listener = testListener(t)
  const types: unknown[] = [
    undefined,
    null,
    '3',
    3n,
    true,
    {},
    { fd: 3 },
    { handle: 3 },
    Object.create(Socket.prototype),
    Object.assign(Object.create(Listener.prototype) as object, { handle: 0 }),
    new Proxy(listener, {}),
    new Multiplexer(),
    Symbol('3'),
    () => 3,
  ]
  for (const target of types) {
    const error = t.throws(() => client.sendDescriptors([target as number], 'x'), { instanceOf: TypeError })
    t.is((error as NodeJS.ErrnoException).code, 'ERR_INVALID_ARG_TYPE')
    t.true(error?.message.startsWith('The "targets[0]" argument must be a Socket, a Listener or of type number.'))
  }
  for (const target of [-1, 0.5, NaN, Infinity, 2 ** 31])
    t.throws(() => client.sendDescriptors([0, target], 'x'), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  for (const targets of [undefined, null, 3, client, '3', new Set([3]), new Int32Array([3]), { length: 1, 0: 3 }])
    t.throws(() => client.sendDescriptors(targets as unknown as number[], 'x'), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
    })
  t.is(client.bytesSent, 0)
  ;(types[11] as Multiplexer).close()
})

test.serial('other_data_is_refused_and_nothing_is_sent', (t) => {
  const { client } = unixPair(t)
  const file = fd(t)
  for (const data of [undefined, null, 1, {}, new ArrayBuffer(1), new Int8Array(1), ['x'], [Buffer.from('x'), null]])
    t.throws(() => client.sendDescriptors([file], data as string), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
    })
  const detached = new Uint8Array(1)
  structuredClone(detached, { transfer: [detached.buffer] })
  for (const data of ['', new Uint8Array(0), [], [new Uint8Array(0)], detached])
    t.throws(() => client.sendDescriptors([file], data), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  t.is(client.bytesSent, 0)
})

test.serial('what_cannot_be_received_into_is_refused_and_nothing_is_lost', async (t) => {
  const { client, server } = unixPair(t)
  client.sendDescriptors([fd(t)], 'kept')
  await until(() => server.peek(new Uint8Array(4)) === 4, server)
  for (const into of [undefined, null, 4, 'x', new ArrayBuffer(4), new Int8Array(4), [0, 0]])
    t.throws(() => server.receiveDescriptors(into as unknown as Uint8Array), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
    })
  t.throws(() => server.receiveDescriptors(new Uint8Array(0)), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['kept', 1])
})

test.serial('a_peer_that_takes_none_is_an_error', async (t) => {
  const { client, server } = unixPair(t)
  try {
    server.setsockopt(SOL_SOCKET, SO_PASSRIGHTS, false)
  } catch (error) {
    // Linux 6.16.
    t.is((error as SocketError).code, 'ENOPROTOOPT')
    return
  }
  const error = t.throws(() => client.sendDescriptors([fd(t)], 'x'), { instanceOf: SocketError, code: 'EPERM' })
  t.regex(error!.message, /^sendmsg EPERM: the peer takes no descriptors/)
  t.is(client.sendDescriptors([], 'bytes'), 'sent')
  t.deepEqual(await receiveText(t, server), ['bytes'])
})

const { SOL_SOCKET, SO_PASSCRED, SO_PASSSEC, SO_TIMESTAMP, SO_PASSPIDFD, SO_PASSRIGHTS } = {
  SOL_SOCKET: 1,
  SO_PASSCRED: 16,
  SO_TIMESTAMP: 29,
  SO_PASSSEC: 34,
  SO_PASSPIDFD: 76,
  SO_PASSRIGHTS: 83,
}

test.serial('other_control_messages_are_skipped_and_leave_nothing_open', async (t) => {
  const { client, server } = unixPair(t)
  for (const option of [SO_PASSCRED, SO_TIMESTAMP, SO_PASSSEC, SO_PASSPIDFD]) {
    try {
      server.setsockopt(SOL_SOCKET, option, true)
    } catch (error) {
      // SO_PASSPIDFD: Linux 6.5.
      t.is((error as SocketError).code, 'ENOPROTOOPT')
    }
  }
  const targets = Array.from({ length: MOST }, () => fd(t))
  const before = openDescriptors().size
  client.sendDescriptors(targets, 'many')
  const many = await receivePassed(server)
  t.is(many.descriptors.length, MOST)
  t.deepEqual(many.descriptors.map(identity), targets.map(identity))
  closeAll(many.descriptors)
  client.send('none')
  t.deepEqual((await receivePassed(server)).descriptors, [])
  client.send('plain')
  t.is((await receiveExactly(server, 5)).toString(), 'plain')
  t.is(openDescriptors().size, before)
})

test.serial('descriptors_are_not_passed_while_a_file_is_sent_and_come_behind_it', async (t) => {
  const { client, server } = smallUnixPair(t)
  const contents = distinctBytes(300_000)
  const sent = client.sendFile(openFor(t, fileWith(t, contents)))
  await Promise.resolve()
  t.is(client.sendDescriptors([fd(t)], 'behind'), 'not-sent')
  t.true((await receiveExactly(server, contents.length)).equals(contents))
  t.is(await sent, contents.length)
  t.is(client.sendDescriptors([fd(t)], 'behind'), 'sent')
  const [text, ...passed] = await receiveText(t, server)
  t.deepEqual([text, passed.length], ['behind', 1])
})

test.serial('a_relayed_socket_passes_nothing', async (t) => {
  const { relay } = await import('m-socket')
  const [one, other] = [unixPair(t), unixPair(t)]
  const relayed = relay(one.server, other.server)
  t.throws(() => one.server.sendDescriptors([1], 'x'), { code: 'EBUSY' })
  t.throws(() => one.server.receiveDescriptors(new Uint8Array(1)), { code: 'EBUSY' })
  one.client.sendDescriptors([fd(t)], 'bytes alone')
  t.deepEqual(await receiveText(t, other.client), ['bytes alone'])
  one.client.close()
  other.client.close()
  t.deepEqual(await relayed, { aToB: 11, bToA: 0 })
})

test.serial('a_native_call_with_wrong_numbers_is_an_errno', (t) => {
  const { client, server } = unixPair(t)
  const handles = [client, server].map((it) => (it as unknown as { handle: number }).handle) as [number, number]
  const numbers = (count: number) => new Uint8Array(Int32Array.from({ length: count }, () => 1).buffer)
  const { EBADF, EINVAL } = constants.errno
  t.is(native.sendDescriptors(handles[0], [], numbers(1)), -EINVAL)
  t.is(native.sendDescriptors(handles[0], [new Uint8Array(0)], numbers(1)), -EINVAL)
  t.is(native.sendDescriptors(handles[0], [new Uint8Array(1)], numbers(MOST + 1)), -EINVAL)
  t.is(native.sendDescriptors(handles[0], [new Uint8Array(1)], numbers(100_000)), -EINVAL)
  t.is(native.sendDescriptors(-1, [new Uint8Array(1)], numbers(1)), -EBADF)
  const NOT_BYTES = -(2 ** 31)
  const both = new Uint8Array(2048)
  t.is(native.receiveDescriptors(handles[1], both, both), NOT_BYTES)
  t.is(native.receiveDescriptors(handles[1], both.subarray(0, 1024), both.subarray(1000)), NOT_BYTES)
  t.is(native.receiveDescriptors(handles[1], new Uint8Array(1), new Uint8Array(4 * (2 + MOST) - 1)), NOT_BYTES)
  t.true(isOpen(client.fd))
})
