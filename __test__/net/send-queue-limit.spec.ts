import { once } from 'node:events'
import type nodeNet from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { Socket, SocketError, SocketQueueError, toDuplex } from 'm-socket'
import net from 'm-socket/net'

import { connectionPair } from '../support/connection-pair.js'
import { unconnectedDescriptor } from '../support/descriptors.js'
import { inetAddressOf, resetAtEnd, smallBufferPair, testListener } from '../support/pair.js'
import { acceptNext, receiveToEnd } from '../support/waiting.js'

const LIMIT = 100_000
const PIECE = Buffer.alloc(10_000)

type Stream = nodeNet.Socket & { readonly socket: Socket | undefined }

/** Streams with a limit, whose peer has small buffers and reads nothing. */
const STREAMS: Readonly<Record<string, (t: ExecutionContext) => Promise<[stream: Stream, peer: Socket]>>> = {
  'net.connect': async (t) => {
    const listener = testListener(t, 'IPv4', { receiveBufferSize: 4096 })
    const stream = net.connect({ ...inetAddressOf(listener), sendQueueLimit: LIMIT, sendBufferSize: 4096 })
    const peer = resetAtEnd(t, await acceptNext(listener))
    if (stream.connecting) await once(stream, 'connect')
    return [stream, peer]
  },
  'new Socket': async (t) => {
    const listener = testListener(t, 'IPv4', { receiveBufferSize: 4096 })
    const stream = new net.Socket({ sendQueueLimit: LIMIT }).connect({
      ...inetAddressOf(listener),
      sendBufferSize: 4096,
    })
    const peer = resetAtEnd(t, await acceptNext(listener))
    if (stream.connecting) await once(stream, 'connect')
    return [stream, peer]
  },
  'a descriptor that is connected': async (t) => {
    const listener = testListener(t, 'IPv4', { receiveBufferSize: 4096 })
    const stream = new net.Socket({ fd: unconnectedDescriptor(4), sendQueueLimit: LIMIT }).connect({
      ...inetAddressOf(listener),
      sendBufferSize: 4096,
    })
    const peer = resetAtEnd(t, await acceptNext(listener))
    if (stream.connecting) await once(stream, 'connect')
    return [stream, peer]
  },
  toDuplex: async (t) => {
    const { client, server } = await smallBufferPair(t)
    return [toDuplex(server, { sendQueueLimit: LIMIT }), client]
  },
}

for (const [name, make] of Object.entries(STREAMS)) {
  test(`a_peer_that_reads_nothing_fails_the_write_that_goes_beyond_the_limit: ${name}`, async (t) => {
    const [stream] = await make(t)
    const failure = once(stream, 'error') as Promise<[Error]>
    const closed = new Promise((resolve) => stream.once('close', resolve))
    const outcomes: (Error | null | undefined)[] = []
    let most = 0
    let calls = 0
    while (!stream.destroyed && calls < 1000) {
      calls++
      stream.write(PIECE, (error) => outcomes.push(error))
      most = Math.max(most, stream.writableLength)
    }
    t.true(most <= LIMIT + PIECE.length, `${most} bytes waited`)
    const [error] = await failure
    t.true(error instanceof SocketQueueError && error instanceof SocketError)
    t.is((error as SocketQueueError).code, 'ERR_SOCKET_QUEUE_FULL')
    t.regex(error.message, /sendQueueLimit/)
    t.is(await closed, true)
    t.is(stream.socket!.state, 'closed')
    t.is(stream.socket!.queued, 0)
    t.is(outcomes.length, calls)
    t.true(outcomes.at(-1) instanceof Error, 'the last write fails')
    t.true(outcomes.some((outcome) => outcome === error))
  })

  test(`one_large_write_beyond_the_limit_fails_with_the_error_of_the_stream: ${name}`, async (t) => {
    const [stream] = await make(t)
    const failure = once(stream, 'error') as Promise<[Error]>
    const outcome = new Promise((resolve) => stream.write(Buffer.alloc(16 << 20), resolve))
    const [error] = await failure
    t.true(error instanceof SocketQueueError)
    t.is(await outcome, error)
  })

  test(`below_the_limit_all_is_sent: ${name}`, async (t) => {
    const [stream, peer] = await make(t)
    for (let count = 0; count < LIMIT / PIECE.length; count++) stream.write(PIECE)
    stream.end()
    t.is((await receiveToEnd(peer)).length, LIMIT)
    stream.destroy()
  })
}

test('writes_before_the_connection_count_as_well', async (t) => {
  const listener = testListener(t)
  const stream = net.connect({ ...inetAddressOf(listener), sendQueueLimit: LIMIT })
  const failure = once(stream, 'error') as Promise<[Error]>
  stream.write(Buffer.alloc(LIMIT))
  t.false(stream.destroyed)
  stream.write('x')
  t.true((await failure)[0] instanceof SocketQueueError)
})

test('without_a_limit_writes_are_always_taken', async (t) => {
  const { server } = await smallBufferPair(t)
  const stream = toDuplex(server)
  for (let count = 0; count < 1000; count++) stream.write(PIECE)
  t.false(stream.destroyed)
  t.true(stream.writableLength > 9_000_000)
  stream.destroy()
})

for (const [wrong, code] of [
  [-1, 'ERR_OUT_OF_RANGE'],
  [1.5, 'ERR_OUT_OF_RANGE'],
  ['100', 'ERR_INVALID_ARG_TYPE'],
  [Number.NaN, 'ERR_OUT_OF_RANGE'],
] as const) {
  test(`a_sendQueueLimit_of_${typeof wrong}_${wrong}_is_refused`, async (t) => {
    t.throws(() => new net.Socket({ sendQueueLimit: wrong as number }), { code, message: /sendQueueLimit/ })
    t.throws(() => net.connect({ port: 1, sendQueueLimit: wrong as number }), { code, message: /sendQueueLimit/ })
    const { server } = await smallBufferPair(t)
    t.throws(() => toDuplex(server, { sendQueueLimit: wrong as number }), { code, message: /sendQueueLimit/ })
    t.is(server.state, 'open')
    t.notThrows(() => toDuplex(server).destroy())
  })
}

for (const name of ['highWaterMark', 'readableHighWaterMark', 'writableHighWaterMark']) {
  test(`toDuplex_with_a_wrong_${name}_leaves_socket_and_connection_as_they_were`, async (t) => {
    const { server } = await smallBufferPair(t)
    const { connection } = await connectionPair(t)
    for (const source of [server, connection]) {
      t.throws(() => toDuplex(source as Socket, { [name]: -1 }), {
        code: 'ERR_OUT_OF_RANGE',
        message: new RegExp(name),
      })
      t.is(source.state, 'open')
      t.notThrows(() => toDuplex(source as Socket).destroy())
    }
  })
}

test('the_option_whenFull_of_older_versions_is_refused_and_names_sendQueueLimit', async (t) => {
  const { server } = await smallBufferPair(t)
  t.throws(() => toDuplex(server, { whenFull: 'error' } as object), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: /whenFull.*sendQueueLimit/,
  })
  toDuplex(server).destroy()
})
