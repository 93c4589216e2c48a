// What the native functions do at the limits of their arguments: no room, too many bytes, memory that goes away.

import { constants as bufferConstants } from 'node:buffer'
import { constants, freemem } from 'node:os'

import test, { type ExecutionContext } from 'ava'
import { type Socket, connect } from 'm-socket'
import * as native from 'm-socket/native'

import {
  CLOSED_AFTER_QUEUE,
  DETACHED,
  EVENT_INTS,
  NOT_BYTES,
  PREFETCH,
  PREFETCH_LIMIT,
  READ,
  SLEEP_SLICE,
} from '../lib/native.js'
import { EMULATED } from './support/emulation.js'
import { detach, resizable } from './support/memory.js'
import { addressOf, connectedPair, smallBufferPair } from './support/pair.js'
import { testServer } from './support/server.js'
import { until } from './support/waiting.js'

const { EAGAIN, EINVAL, EOPNOTSUPP } = constants.errno
const EVENT_SIZE = EVENT_INTS * Int32Array.BYTES_PER_ELEMENT

/** More than an int can count. */
const HUGE = 2 ** 31 + 2 ** 20

/** Declares a test that needs an array of {@link HUGE} bytes, of which it touches few, and `free` bytes of memory. */
function testHuge(title: string, free: number, run: (t: ExecutionContext) => Promise<void>): void {
  const can = bufferConstants.MAX_LENGTH >= HUGE && freemem() > free && !EMULATED
  if (can) test.serial(title, run)
  else test.skip(`${title} (too little memory)`, run)
}

for (const size of [0, 1, EVENT_SIZE - 1]) {
  test(`a_wait_without_room_for_an_event_is_refused: ${size} bytes`, async (t) => {
    const { client, server } = await connectedPair(t)
    const multiplexer = openMultiplexer(t)
    native.add(multiplexer, handleOf(server), READ, 1)
    client.send('there')
    for (const timeout of [-1, 0, 1]) t.is(native.wait(multiplexer, timeout, new Uint8Array(size)), -EINVAL)
    t.is(native.service(multiplexer, new Uint8Array(size)), -EINVAL)
    t.is(native.wait(multiplexer, -1, new Uint8Array(EVENT_SIZE)), 1)
  })
}

test('a_wait_for_an_array_that_is_detached_is_refused', (t) => {
  const multiplexer = openMultiplexer(t)
  t.is(native.wait(multiplexer, -1, detach(new Uint8Array(EVENT_SIZE))), -EINVAL)
  t.is(native.wait(multiplexer, 0, new Uint8Array(EVENT_SIZE), detach(new Uint8Array(64)), 8), NOT_BYTES)
  t.is(native.wait(multiplexer, 0, new Uint8Array(EVENT_SIZE), undefined, undefined), 0)
  t.is(native.wait(multiplexer, 0, new Uint8Array(EVENT_SIZE), new Uint8Array(64), 65), NOT_BYTES)
  t.is(native.wait(multiplexer, 0, new Uint8Array(EVENT_SIZE), new Uint8Array(64), 64), 0)
})

test('a_service_with_room_for_one_reports_all_detached_sources', async (t) => {
  const multiplexer = openMultiplexer(t)
  const handles: number[] = []
  const peers: Socket[] = []
  for (let count = 0; count < 3; count++) {
    const { client, server } = await smallBufferPair(t)
    t.is(native.add(multiplexer, handleOf(client), 0, 0), 0)
    while (native.queued(handleOf(client)) === 0) native.send(handleOf(client), new Uint8Array(4096))
    t.is(native.close(handleOf(client)), CLOSED_AFTER_QUEUE)
    handles.push(handleOf(client))
    peers.push(server)
  }
  const event = new Int32Array(EVENT_INTS)
  const reported: number[] = []
  await until(() => {
    for (const peer of peers) while ((peer.receive(new Uint8Array(65_536)) ?? 0) > 0);
    t.is(native.service(multiplexer, new Uint8Array(0)), -EINVAL)
    if (native.service(multiplexer, new Uint8Array(event.buffer)) === 0) return false
    t.is(event[1], DETACHED)
    return reported.push(event[0]!) === handles.length
  })
  t.deepEqual(reported.sort(), handles.sort())
  t.is(native.service(multiplexer, new Uint8Array(event.buffer)), 0)
})

test('bytes_that_were_not_received_cannot_be_given_back', async (t) => {
  const { client, server } = await connectedPair(t)
  const handle = handleOf(server)
  t.is(native.unread(handle, new Uint8Array(1)), -EINVAL)
  t.is(server.bytesReceived, 0)
  client.send('hello')
  await until(() => server.peek(new Uint8Array(8)) === 5)
  const into = Buffer.alloc(8)
  t.is(native.receive(handle, into), 5)
  t.is(native.unread(handle, into.subarray(0, 6)), -EINVAL)
  t.is(server.bytesReceived, 5)
  t.is(native.unread(handle, new Uint8Array(0)), 0)
  t.is(native.unread(handle, detach(new Uint8Array(4))), 0)
  t.is(native.receive(handle, into), -EAGAIN)
  t.is(native.unread(handle, into.subarray(0, 5)), 0)
  t.is(server.bytesReceived, 0)
  t.is(native.unread(handle, new Uint8Array(1)), -EINVAL)
  t.is(native.receive(handle, into), 5)
  t.is(into.toString('utf8', 0, 5), 'hello')
  t.is(server.bytesReceived, 5)
})

test('pieces_whose_getters_take_memory_away_send_what_is_left', async (t) => {
  const { client, server } = await connectedPair(t)
  const first = new Uint8Array(Buffer.from('first'))
  const pieces = [first, Buffer.from('second')]
  Object.defineProperty(pieces, 1, { get: () => (detach(first), Buffer.from('other')) })
  t.is(native.sendPieces(handleOf(client), pieces), 0)
  await until(() => server.peek(new Uint8Array(16)) !== null)
  const into = Buffer.alloc(16)
  t.is(into.toString('utf8', 0, server.receive(into)!), 'other')

  const throwing = Object.defineProperty([first], 0, {
    get: () => {
      throw new RangeError('mine')
    },
  })
  t.throws(() => native.sendPieces(handleOf(client), throwing), { instanceOf: RangeError, message: 'mine' })
  const shrinking = new Uint8Array(resizable(64))
  const shrunk = Object.defineProperty([shrinking, shrinking], 1, {
    get: () => ((shrinking.buffer as ReturnType<typeof resizable>).resize(1), shrinking),
  })
  t.is(native.sendPieces(handleOf(client), shrunk), 0)
  await until(() => server.peek(into) !== null)
  t.is(server.receive(into), 2)
  for (const wrong of [
    Array.from({ length: 3 }),
    Object.assign([], { length: 2 ** 32 - 1 }),
    new Proxy([first], {}),
    [[first]],
  ]) {
    t.is(native.sendPieces(handleOf(client), wrong as Uint8Array[]), NOT_BYTES)
  }
  const closing = Object.defineProperty([first], 0, { get: () => (client.close(), Buffer.from('late')) })
  t.is(native.sendPieces(handleOf(client), closing), -constants.errno.EBADF)
})

test('a_copy_of_prefetched_bytes_outlives_their_array', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = openMultiplexer(t)
  native.add(multiplexer, handleOf(server), READ | PREFETCH, 0)
  client.send('hello')
  const events = new Int32Array(EVENT_INTS)
  const pool = new Uint8Array(PREFETCH_LIMIT + 16)
  t.is(native.wait(multiplexer, -1, new Uint8Array(events.buffer), pool, 16), 1)
  t.deepEqual([...events.subarray(2)], [16, 5])
  detach(pool)
  t.is(native.prefetched(multiplexer, new Uint8Array(16)), NOT_BYTES)
  const copy = Buffer.alloc(32, '.')
  t.is(native.prefetched(multiplexer, copy), 0)
  t.is(copy.toString('utf8', 0, 21), '................hello')
  // A wait that receives nothing keeps it.
  t.is(native.wait(multiplexer, 0, new Uint8Array(events.buffer), new Uint8Array(PREFETCH_LIMIT)), 0)
  t.is(native.prefetched(multiplexer, copy.fill(0)), 0)
  t.is(copy.toString('utf8', 16, 21), 'hello')
})

/** By their numbers in the kernel's headers, which docs/options.md names. */
const UNSAFE_TO_GET = [
  [1, 26],
  [6, 35],
  [6, 41],
  [284, 4],
  [0, 41],
  [0, 48],
  [41, 48],
  [0, 129],
  [0, 131],
  [132, 111],
]
const UNSAFE_TO_SET = [
  [1, 26],
  [1, 51],
  [6, 35],
  [0, 64],
  [0, 96],
  [41, 64],
  [0, 128],
  [0, 129],
]

test('options_with_pointers_are_refused_whatever_the_handle_is', async (t) => {
  const { client } = await connectedPair(t)
  for (const handle of [handleOf(client), -1, NaN]) {
    const value = new Uint8Array(256)
    for (const [level, name] of UNSAFE_TO_GET) {
      t.is(native.getOption(handle, level!, name!, value), -EOPNOTSUPP, `${level} ${name}`)
    }
    for (const [level, name] of UNSAFE_TO_SET) {
      t.is(native.setOption(handle, level!, name!, value), -EOPNOTSUPP, `${level} ${name}`)
    }
  }
})

testHuge('offsets_beyond_two_gibibytes_are_where_bytes_come_from_and_go_to', 2 ** 30, async (t) => {
  const { client, server } = await connectedPair(t)
  const huge = Buffer.alloc(HUGE)
  huge.set(Buffer.from('far'), 2 ** 31)
  t.is(client.send(huge, 2 ** 31, 3), 'sent')
  t.is(native.write(handleOf(client), huge, false, 2 ** 31, 3), 3)
  await until(() => server.peek(new Uint8Array(8)) === 6)
  t.is(server.receive(huge, 2 ** 31 + 8, 8), 6)
  t.is(String(huge.subarray(2 ** 31 + 8, 2 ** 31 + 14)), 'farfar')
  t.throws(() => client.send(huge, 2 ** 32), { code: 'ERR_OUT_OF_RANGE' })
  t.throws(() => server.receive(huge, 2 ** 32), { code: 'ERR_OUT_OF_RANGE' })
})

testHuge('a_write_of_more_than_two_gibibytes_takes_them_all', 6 * 2 ** 30, async (t) => {
  const { client, server } = await smallBufferPair(t)
  const huge = Buffer.alloc(HUGE)
  t.is(native.setSendQueueLimit(handleOf(client), Number.MAX_SAFE_INTEGER), 0)
  t.is(client.sendQueueLimit, Number.MAX_SAFE_INTEGER)
  t.is(native.write(handleOf(client), huge, false), HUGE)
  t.is(client.bytesSent + client.queued, HUGE)
  client.reset()
  server.close()
})

for (const offset of [2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1]) {
  test(`a_part_at_${offset}_of_a_small_array_is_out_of_range`, async (t) => {
    const { client, server } = await connectedPair(t)
    const outOfRange = { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }
    const calls = (socket: Socket, bytes: Uint8Array): (() => unknown)[] => [
      () => socket.send(bytes, offset),
      () => socket.send(bytes, 0, offset),
      () => socket.receive(bytes, offset),
      () => socket.receive(bytes, 0, offset),
    ]
    for (const call of calls(client, new Uint8Array(8))) t.throws(call, outOfRange)
    const accepting = testServer(t)
    const connection = await connect({ ...addressOf(accepting) } as { host: string; port: number })
    t.throws(() => connection.write(new Uint8Array(8), offset), outOfRange)
    t.throws(() => connection.write(new Uint8Array(8), 0, offset), outOfRange)
    t.throws(() => connection.end(new Uint8Array(8), offset), outOfRange)
    connection.terminate()
    t.is(client.bytesSent, 0)
    t.is(server.receive(new Uint8Array(8)), null)
  })
}

test('a_limit_of_a_queue_is_a_size', async (t) => {
  const { client } = await connectedPair(t)
  for (const limit of [0, 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
    t.is(native.setSendQueueLimit(handleOf(client), limit), 0)
    t.is(native.sendQueueLimit(handleOf(client)), limit)
  }
})

test('a_sleep_ends_at_its_time', async (t) => {
  const { client } = await connectedPair(t)
  t.is(native.sleepOn(handleOf(client), false, 1), 0)
  t.is(native.sleepOn(handleOf(client), true, SLEEP_SLICE), 0)
})

function openMultiplexer(t: ExecutionContext): number {
  const handle = native.openMultiplexer(() => {})
  t.teardown(() => native.closeMultiplexer(handle))
  return handle
}

function handleOf(socket: Socket): number {
  return (socket as unknown as { handle: number }).handle
}
