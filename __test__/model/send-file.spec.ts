// Files that are sent by sendfile(2).

import { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, type SendFileOptions, Socket, SocketClosedError, SocketError, relay, toNetSocket } from 'm-socket'

import { openDescriptors } from '../support/descriptors.js'
import { distinctBytes, evict, fileWith, openFor, sparseFile } from '../support/files.js'
import {
  FAMILIES,
  connectedPair,
  fillSendQueue,
  inetAddressOf,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { freePort } from '../support/ports.js'
import { temporaryDirectory } from '../support/unix.js'
import { receiveExactly, receiveToEnd, until } from '../support/waiting.js'

/** More than the kernel's buffers and several windows take. */
const LARGE = 10_000_000

/** A socket whose peer gets what a file has, and that file. */
async function sending(t: ExecutionContext, bytes: Uint8Array) {
  const pair = await connectedPair(t)
  const path = fileWith(t, bytes)
  return { ...pair, path, fd: openFor(t, path) }
}

/** How many descriptors of a file are open. */
function descriptorsOf(path: string): number {
  return [...openDescriptors().values()].filter((target) => target === path).length
}

/** Everything that a socket's peer gets, with the end. */
async function ended(client: Socket, server: Socket): Promise<Buffer> {
  client.shutdown()
  return receiveToEnd(server)
}

for (const family of FAMILIES) {
  test(`a_file_is_sent_behind_what_is_queued_and_before_what_comes_later: ${family}`, async (t) => {
    const { client, server } = await smallBufferPair(t, family)
    const bytes = distinctBytes(3_000_000)
    const fd = openFor(t, fileWith(t, bytes))
    const before = fillSendQueue(client, Buffer.alloc(4096, 'b'))
    const sent = client.sendFile(fd)
    t.is(client.send('after'), 'queued')
    client.close()
    t.is(client.state, 'closing')
    const received = await receiveToEnd(server)
    t.deepEqual(received.subarray(0, before), Buffer.alloc(before, 'b'))
    t.true(received.subarray(before, -5).equals(bytes))
    t.is(received.subarray(-5).toString(), 'after')
    t.is(await sent, bytes.length)
    t.is(client.state, 'closed')
  })
}

for (const [options, from, to] of [
  [{}, 0, 1000],
  [{ start: 0, end: 0 }, 0, 1],
  [{ start: 999 }, 999, 1000],
  [{ start: 1000 }, 0, 0],
  [{ start: 5000, end: 6000 }, 0, 0],
  [{ start: Number.MAX_SAFE_INTEGER }, 0, 0],
  [{ end: 5000 }, 0, 1000],
  [{ start: 10, end: Infinity }, 10, 1000],
  [{ start: 10, end: Number.MAX_SAFE_INTEGER }, 10, 1000],
  [{ start: 10, end: 19 }, 10, 20],
  [{ start: 0, end: undefined, signal: undefined }, 0, 1000],
] as const) {
  test(`a_range_is_as_in_createReadStream: ${inspect(options)}`, async (t) => {
    const bytes = distinctBytes(1000)
    const { client, server, fd } = await sending(t, bytes)
    t.is(await client.sendFile(fd, options), to - from)
    t.deepEqual(await ended(client, server), bytes.subarray(from, to))
    t.is(client.bytesSent, to - from)
  })
}

test('an_empty_file_is_sent_when_what_is_before_it_has_been', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const fd = openFor(t, fileWith(t, Buffer.alloc(0)))
  const before = fillSendQueue(client)
  let isSent = false
  const sent = client.sendFile(fd).then((count) => {
    isSent = true
    return count
  })
  await new Promise(setImmediate)
  t.false(isSent)
  t.is((await ended(client, server)).length, before)
  t.is(await sent, 0)
})

test('a_part_beyond_4_GiB_is_sent', async (t) => {
  const { client, server } = await connectedPair(t)
  const start = 5 * 2 ** 30 + 123
  const bytes = distinctBytes(5000)
  const fd = openFor(t, sparseFile(t, start + 3_000_000, bytes, start))
  const sent = client.sendFile(fd, { start })
  const received = receiveToEnd(server)
  t.is(await sent, 3_000_000)
  client.shutdown()
  t.true((await received).equals(Buffer.concat([bytes, Buffer.alloc(3_000_000 - 5000)])))
})

test('what_is_not_in_memory_is_read_and_sent', async (t) => {
  const bytes = distinctBytes(LARGE)
  const path = fileWith(t, bytes)
  const fd = openFor(t, path, 'r+')
  fsyncSync(fd)
  evict(path)
  const { client, server } = await connectedPair(t)
  const received = receiveToEnd(server)
  t.is(await client.sendFile(fd), bytes.length)
  client.shutdown()
  t.true((await received).equals(bytes))
})

test('the_position_of_the_descriptor_stays_and_is_not_used', async (t) => {
  const { client, server, fd } = await sending(t, Buffer.from('0123456789'))
  const file = await open(`/proc/self/fd/${fd}`)
  await file.read(Buffer.alloc(4), 0, 4)
  t.is(await client.sendFile(file), 10)
  t.is((await file.read(Buffer.alloc(1), 0, 1)).buffer.toString(), '4')
  await file.close()
  t.is((await ended(client, server)).toString(), '0123456789')
})

test('the_program_may_close_the_file_at_once', async (t) => {
  const bytes = distinctBytes(LARGE)
  const path = fileWith(t, bytes)
  const file = await open(path)
  const { client, server } = await connectedPair(t)
  const sent = client.sendFile(file)
  await file.close()
  t.is(descriptorsOf(path), 1)
  const received = receiveToEnd(server)
  t.is(await sent, bytes.length)
  client.shutdown()
  t.true((await received).equals(bytes))
  t.is(descriptorsOf(path), 0)
})

test('many_files_and_bytes_keep_their_order', async (t) => {
  const { client, server } = await smallBufferPair(t)
  client.sendQueueLimit = 1_000_000
  const bytes = distinctBytes(50_000)
  const fd = openFor(t, fileWith(t, bytes))
  const expected: Buffer[] = []
  const sent: Promise<number>[] = []
  for (let index = 0; index < 40; index++) {
    const [start, end] = [index * 100, index * 1100 + 99]
    sent.push(client.sendFile(fd, { start, end }))
    t.not(client.send(`<${index}>`), 'not-sent')
    expected.push(bytes.subarray(start, end + 1), Buffer.from(`<${index}>`))
  }
  const received = await ended(client, server)
  t.true(received.equals(Buffer.concat(expected)))
  t.deepEqual(
    await Promise.all(sent),
    Array.from({ length: 40 }, (_, index) => index * 1000 + 100),
  )
})

test('what_a_file_gains_meanwhile_is_not_sent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const bytes = distinctBytes(1_000_000)
  const fd = openFor(t, fileWith(t, bytes), 'r+')
  const sent = client.sendFile(fd)
  writeSync(fd, 'more', bytes.length)
  t.true((await ended(client, server)).equals(bytes))
  t.is(await sent, bytes.length)
})

test('a_file_that_shrinks_ends_where_it_ends', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const bytes = distinctBytes(3_000_000)
  const fd = openFor(t, fileWith(t, bytes), 'r+')
  const sent = client.sendFile(fd)
  client.send('next')
  ftruncateSync(fd, 2_000_000)
  const received = await ended(client, server)
  t.is(await sent, 2_000_000)
  t.true(received.equals(Buffer.concat([bytes.subarray(0, 2_000_000), Buffer.from('next')])))
})

test('a_multiplexer_reports_writable_when_the_file_has_been_sent', async (t) => {
  const { client, server, fd } = await sending(t, distinctBytes(LARGE))
  using multiplexer = new Multiplexer(client)
  t.true((await multiplexer.wait()).some((event) => event.writable))
  let isSent = false
  const sent = client.sendFile(fd).then(() => (isSent = true))
  t.is(client.queued, 0)
  t.false(client.flush())
  const received = receiveExactly(server, LARGE)
  const [event] = await multiplexer.wait()
  t.true(event!.target === client && event!.writable && !event!.error)
  await sent
  t.true(isSent)
  t.is((await received).length, LARGE)
})

test('a_socket_that_is_connecting_sends_a_file_once_connected', async (t) => {
  const listener = testListener(t)
  const connecting = resetAtEnd(t, Socket.connect(inetAddressOf(listener)))
  const bytes = distinctBytes(2_000_000)
  const sent = connecting.sendFile(openFor(t, fileWith(t, bytes)))
  let accepted: Socket | null = null
  await until(() => (accepted = listener.accept()) !== null, listener)
  const received = receiveToEnd(resetAtEnd(t, accepted!))
  t.is(await sent, bytes.length)
  connecting.close()
  t.true((await received).equals(bytes))
})

test('a_file_of_a_socket_that_does_not_connect_is_not_sent', async (t) => {
  const client = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port: freePort() }))
  const error = await t.throwsAsync(client.sendFile(openFor(t, fileWith(t, Buffer.from('x')))), {
    instanceOf: SocketError,
    code: 'ECONNREFUSED',
  })
  t.is(error?.bytesSent, 0)
})

test('a_reset_by_this_side_rejects_with_what_was_sent', async (t) => {
  const { client, server, fd, path } = await sending(t, distinctBytes(LARGE))
  const files = [client.sendFile(fd), client.sendFile(fd)]
  await receiveExactly(server, 100_000)
  client.reset()
  const errors = await Promise.all(files.map((file) => t.throwsAsync<SocketClosedError>(file)))
  t.true(errors.every((error) => error instanceof SocketClosedError))
  t.true(errors[0]!.bytesSent! >= 100_000)
  t.is(errors[1]!.bytesSent, 0)
  t.is(descriptorsOf(path), 1)
})

test('a_reset_by_the_peer_rejects_with_the_reason', async (t) => {
  const { client, server, fd } = await sending(t, distinctBytes(LARGE))
  const sent = client.sendFile(fd)
  await receiveExactly(server, 100_000)
  server.reset()
  const error = await t.throwsAsync(sent, { instanceOf: SocketError })
  t.true(['ECONNRESET', 'EPIPE'].includes(error!.code))
  t.true(error!.bytesSent! >= 100_000)
  t.is(client.send('more'), 'closed')
  await t.throwsAsync(client.sendFile(fd), { code: error!.code })
})

test('a_socket_that_is_closing_sends_its_file_and_is_reset_by_reset', async (t) => {
  const { client, server, fd } = await sending(t, distinctBytes(LARGE))
  const sent = client.sendFile(fd)
  client.close()
  t.is(client.state, 'closing')
  await receiveExactly(server, 100_000)
  client.reset()
  await t.throwsAsync(sent, { instanceOf: SocketClosedError })
  t.is(client.state, 'closed')
})

test('a_file_goes_on_when_its_multiplexer_is_closed_or_the_socket_removed', async (t) => {
  for (const closes of [true, false]) {
    const bytes = distinctBytes(LARGE)
    const { client, server, fd } = await sending(t, bytes)
    const multiplexer = new Multiplexer(client)
    const sent = client.sendFile(fd)
    if (closes) multiplexer.close()
    else multiplexer.remove(client)
    const received = receiveToEnd(server)
    t.is(await sent, LARGE)
    client.close()
    t.true((await received).equals(bytes))
    multiplexer.close()
  }
})

test('half_of_the_connection_that_has_ended_sends_no_file', async (t) => {
  const { client, fd } = await sending(t, Buffer.from('x'))
  client.shutdown()
  await t.throwsAsync(client.sendFile(fd), { instanceOf: SocketClosedError })
  client.close()
  await t.throwsAsync(client.sendFile(fd), { instanceOf: SocketClosedError })
})

test('an_end_of_the_peer_does_not_end_a_file', async (t) => {
  const bytes = distinctBytes(LARGE)
  const { client, server, fd } = await sending(t, bytes)
  const sent = client.sendFile(fd)
  server.shutdown()
  const received = receiveToEnd(server)
  t.is(await sent, LARGE)
  client.close()
  t.true((await received).equals(bytes))
})

test('in_blocking_mode_a_send_waits_for_the_file_before_it', async (t) => {
  const { client, server } = await connectedPair(t)
  const bytes = distinctBytes(1000)
  // Nothing of it is in memory, and all of it has room in the kernel.
  const fd = openFor(t, sparseFile(t, 100_000, bytes, 0))
  const sent = client.sendFile(fd)
  t.is(client.bytesSent, 0)
  client.blocking = true
  t.is(client.send('after'), 'sent')
  t.is(client.bytesSent, 100_005)
  t.is(await sent, 100_000)
  const received = await ended(client, server)
  t.true(received.equals(Buffer.concat([bytes, Buffer.alloc(99_000), Buffer.from('after')])))
})

test('a_signal_ends_a_file_in_the_middle_and_what_is_queued_comes_next', async (t) => {
  const bytes = distinctBytes(LARGE)
  const { client, server, fd } = await sending(t, bytes)
  const controller = new AbortController()
  const reason = new Error('enough')
  const sent = client.sendFile(fd, { signal: controller.signal })
  const next = client.sendFile(fd, { start: 5, end: 9 })
  t.is(client.send('next'), 'queued')
  await receiveExactly(server, 100_000)
  controller.abort(reason)
  const error = await t.throwsAsync<Error & { bytesSent: number; code: string }>(sent, { name: 'AbortError' })
  t.deepEqual([error!.code, error!.cause], ['ABORT_ERR', reason])
  const { bytesSent } = error!
  t.true(bytesSent >= 100_000 && bytesSent < LARGE)
  const received = await ended(client, server)
  t.is(await next, 5)
  const rest = [bytes.subarray(100_000, bytesSent), bytes.subarray(5, 10), Buffer.from('next')]
  t.true(received.equals(Buffer.concat(rest)))
})

test('a_signal_that_cannot_be_listened_to_ends_its_file_alone', async (t) => {
  const { client, server, fd } = await sending(t, distinctBytes(LARGE))
  const signal = {
    aborted: false,
    addEventListener() {
      throw new Error('no listeners')
    },
  } as unknown as AbortSignal
  for (let turn = 0; turn < 2; turn++) {
    const error = await t.throwsAsync<Error & { bytesSent: number }>(client.sendFile(fd, { signal }), {
      message: 'no listeners',
    })
    t.true(error!.bytesSent < LARGE)
  }
  t.is(client.send('next'), 'queued')
  const received = await ended(client, server)
  t.is(received.subarray(-4).toString(), 'next')
})

test('a_signal_ends_a_file_that_waits_for_another', async (t) => {
  const bytes = distinctBytes(1_000_000)
  const { client, server } = await smallBufferPair(t)
  const fd = openFor(t, fileWith(t, bytes))
  const controller = new AbortController()
  client.sendQueueLimit = 1_000_000
  const first = client.sendFile(fd)
  client.send('a')
  const second = client.sendFile(fd, { signal: controller.signal })
  client.send('b')
  const third = client.sendFile(fd, { end: 2 })
  controller.abort()
  const error = await t.throwsAsync<Error & { bytesSent: number }>(second, { name: 'AbortError' })
  t.is(error!.bytesSent, 0)
  const received = await ended(client, server)
  t.deepEqual(await Promise.all([first, third]), [1_000_000, 3])
  t.true(received.equals(Buffer.concat([bytes, Buffer.from('ab'), bytes.subarray(0, 3)])))
})

test('a_signal_that_is_aborted_before_sends_nothing_and_one_that_is_aborted_later_changes_nothing', async (t) => {
  const { client, server, fd } = await sending(t, Buffer.from('x'))
  const error = await t.throwsAsync<Error & { bytesSent: number }>(
    client.sendFile(fd, { signal: AbortSignal.abort() }),
    { name: 'AbortError' },
  )
  t.is(error!.bytesSent, 0)
  const controller = new AbortController()
  t.is(await client.sendFile(fd, { signal: controller.signal }), 1)
  controller.abort()
  t.is((await ended(client, server)).toString(), 'x')
})

test('what_is_not_a_regular_file_is_refused_and_the_socket_stays_as_it_is', async (t) => {
  const { client, server, fd } = await sending(t, Buffer.from('x'))
  const folder = join(temporaryDirectory(t), 'folder')
  mkdirSync(folder)
  for (const [path, kind] of [
    [folder, 'a directory'],
    ['/dev/zero', 'a device'],
    ['/proc/self/status', 'made as it is read'],
    ['/sys/kernel/mm/transparent_hugepage/enabled', 'made as it is read'],
  ] as const) {
    const opened = openSync(path, 'r')
    const error = await t.throwsAsync(client.sendFile(opened), { code: 'ERR_INVALID_ARG_VALUE' })
    t.true(error!.message.includes(`must be a regular file, and is `) && error!.message.includes(kind), error!.message)
    closeSync(opened)
  }
  const error = await t.throwsAsync(client.sendFile(server.fd), { code: 'ERR_INVALID_ARG_VALUE' })
  t.regex(error!.message, /a pipe or a socket/)
  const written = openSync(fileWith(t, Buffer.from('x')), 'w')
  await t.throwsAsync(client.sendFile(written), { code: 'EBADF' })
  closeSync(written)
  await t.throwsAsync(client.sendFile(written), { instanceOf: SocketError, code: 'EBADF' })
  const file = await open(fileWith(t, Buffer.from('x')))
  await file.close()
  await t.throwsAsync(client.sendFile(file), { instanceOf: SocketError, code: 'EBADF' })
  t.is(await client.sendFile(fd), 1)
  t.is((await ended(client, server)).toString(), 'x')
})

test('wrong_arguments_are_refused', async (t) => {
  const { client, fd } = await sending(t, Buffer.from('x'))
  for (const file of [undefined, null, 'file', {}, { fd: '3' }, Buffer.alloc(1)]) {
    await t.throwsAsync(client.sendFile(file as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
  for (const file of [-1, 0.5, NaN, 2 ** 31]) {
    await t.throwsAsync(client.sendFile(file), { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
  }
  const wrong: [SendFileOptions, string][] = [
    [{ start: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ end: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ start: 2, end: 1 }, 'ERR_OUT_OF_RANGE'],
    [{ start: 0.5 }, 'ERR_OUT_OF_RANGE'],
    [{ end: NaN }, 'ERR_OUT_OF_RANGE'],
    [{ start: 2 ** 53 }, 'ERR_OUT_OF_RANGE'],
    [{ start: '0' as never }, 'ERR_INVALID_ARG_TYPE'],
    [{ end: null as never }, 'ERR_INVALID_ARG_TYPE'],
    [{ signal: {} as never }, 'ERR_INVALID_ARG_TYPE'],
    [{ length: 1 } as never, 'ERR_INVALID_ARG_VALUE'],
    [null as never, 'ERR_INVALID_ARG_TYPE'],
  ]
  for (const [options, code] of wrong) await t.throwsAsync(client.sendFile(fd, options), { code })
  t.is(client.bytesSent, 0)
})

test('a_socket_that_sends_a_file_cannot_be_given_up', async (t) => {
  const { client, server, fd } = await sending(t, distinctBytes(LARGE))
  const sent = client.sendFile(fd)
  t.throws(() => toNetSocket(client), { code: 'ERR_INVALID_STATE' })
  const received = receiveToEnd(server)
  t.is(await sent, LARGE)
  client.close()
  t.is((await received).length, LARGE)
})

test('a_relay_begins_behind_the_files_that_its_sockets_send', async (t) => {
  const bytes = distinctBytes(1000)
  const fd = openFor(t, sparseFile(t, 3_000_000, bytes, 0))
  const [left, right] = [await connectedPair(t), await connectedPair(t)]
  const sent = left.server.sendFile(fd)
  const relayed = relay(left.server, right.client)
  right.server.send('from the right')
  right.server.shutdown()
  left.client.send('from the left')
  left.client.shutdown()
  const [toLeft, toRight] = await Promise.all([receiveToEnd(left.client), receiveToEnd(right.server)])
  t.is(await sent, 3_000_000)
  t.true(toLeft.subarray(0, 1000).equals(bytes))
  t.is(toLeft.subarray(3_000_000).toString(), 'from the right')
  t.is(toRight.toString(), 'from the left')
  t.deepEqual(await relayed, { aToB: 13, bToA: 14 })
})
