// One test for each function of the original m-socket (2012, Common Lisp), in its order and named after it. Then its
// promises, its known problems and its errors. The specs of the other folders test each part in detail.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { buffer } from 'node:stream/consumers'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import test from 'ava'
import {
  type InetAddress,
  Listener,
  Multiplexer,
  type ReadyEvent,
  Socket,
  SocketClosedError,
  SocketError,
  SocketQueueError,
  toDuplex,
} from 'm-socket'

import { runModule } from '../support/child.js'
import { openWithDescriptor, retryUntilReused } from '../support/descriptor-reuse.js'
import { openDescriptors } from '../support/descriptors.js'
import { mockLookup } from '../support/dns.js'
import { EchoServer } from '../support/echo-server.js'
import {
  addressOf,
  closeAtEnd,
  connectedPair,
  fillSendQueue,
  resetAtEnd,
  smallBufferPair,
  testListener,
} from '../support/pair.js'
import { freePort } from '../support/ports.js'
import {
  acceptNext,
  connectOutcome,
  nextEvent,
  receiveExactly,
  receiveToEnd,
  until,
  waitUntil,
} from '../support/waiting.js'

const byte = new Uint8Array(1)

test('make-listener-socket: listens on an address; of a name, tries each address and rejects with one AggregateError', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ host: '127.0.0.1' }))
  const { port } = listener.address as InetAddress
  const named = closeAtEnd(t, await Listener.bindHost({ host: 'localhost' }))
  t.true((named.address as InetAddress).port > 0)
  const error = await t.throwsAsync(Listener.bindHost({ host: '127.0.0.1', port }), { instanceOf: AggregateError })
  t.deepEqual(
    error?.errors.map(({ code }: SocketError) => code),
    ['EADDRINUSE'],
  )
})

test('accept: returns the next connection, non-blocking, or null when there is none', async (t) => {
  const listener = testListener(t)
  t.is(listener.accept(), null)
  const client = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const accepted = resetAtEnd(t, await acceptNext(listener))
  t.deepEqual(accepted.remoteAddress, client.localAddress)
  t.false(accepted.blocking)
  t.is(accepted.receive(byte), null)
  t.is(listener.accept(), null)
})

test("receive: fills the caller's array; data, no data, the end and an error are distinct", async (t) => {
  const { client, server } = await connectedPair(t)
  const into = Buffer.alloc(10)
  t.is(client.receive(into), null)
  server.send('data')
  await nextEvent(client, 'r')
  t.is(client.receive(into), 4)
  t.is(into.toString('latin1', 0, 4), 'data')
  server.shutdown()
  await nextEvent(client, 'r')
  t.is(client.receive(into), 0)
  t.throws(() => client.receive(into.subarray(0, 0)), { code: 'ERR_OUT_OF_RANGE' })
  client.reset()
  await nextEvent(server, 'r')
  t.throws(() => server.receive(into), { code: 'ECONNRESET' })
  t.is(server.state, 'closed')
})

test('send: returns one of five statuses; with the first three all data is accepted', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const statuses: string[] = [client.send('a')]
  const large = Buffer.alloc(1 << 20, 'b')
  client.sendQueueLimit = large.length
  statuses.push(client.send(large))
  statuses.push(client.send('c'))
  client.sendQueueLimit = 1
  statuses.push(client.send('d'))
  const received = await receiveExactly(server, large.length + 2)
  t.is(received.toString('latin1', large.length - 1), 'bbc')
  t.is(server.receive(byte), null)
  client.close()
  statuses.push(client.send('e'))
  t.deepEqual(statuses, ['sent', 'partially-sent', 'queued', 'not-sent', 'closed'])
})

test('the send queue: holds 64 KiB, the last piece may exceed that, and data is copied', async (t) => {
  const { client, server } = await smallBufferPair(t)
  t.is(client.sendQueueLimit, 65536)
  const before = fillSendQueue(client)
  const piece = Buffer.alloc(65535, 'x')
  t.is(client.send(piece.subarray(0, 65535 - client.queued)), 'queued')
  t.is(client.queued, 65535)
  t.is(client.send(piece), 'queued')
  t.is(client.queued, 2 * 65535)
  t.is(client.send(piece), 'not-sent')
  const { queued, bytesSent } = client
  piece.fill('y')
  const received = await receiveExactly(server, queued + bytesSent)
  t.false(received.subarray(before).includes('y'))
})

test('flush-send-buffers: sends from the queue and never blocks, even in blocking mode; the multiplexer flushes by itself', async (t) => {
  const { client, server } = await smallBufferPair(t)
  // More than the room that the full kernel buffer gains while it delivers what is in flight.
  const taken = fillSendQueue(client) + 50_000
  t.is(client.send(new Uint8Array(50_000)), 'queued')
  t.false(client.flush())
  client.blocking = true
  t.false(client.flush())
  client.blocking = false
  t.is((await receiveExactly(server, taken)).length, taken)
  t.true(client.flush())
})

test('close-socket: sends the queue, then closes, and never blocks', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const taken = fillSendQueue(client)
  client.close()
  t.is(client.state, 'closing')
  t.is((await receiveToEnd(server)).length, taken)
  await until(() => client.state === 'closed')
})

test('shutdown: ends writing (the default), reading or both, after the queue is sent', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const taken = fillSendQueue(client)
  client.shutdown()
  t.deepEqual([client.readEnded, client.writeEnded], [false, true])
  t.is((await receiveToEnd(server)).length, taken)
  client.shutdown('read')
  t.true(client.readEnded)
  server.shutdown('both')
  t.deepEqual([server.readEnded, server.writeEnded], [true, true])
})

test('blocking?: off by default; if on, receive waits for data and send waits until all is accepted', async (t) => {
  const listener = testListener(t)
  const worker = new Worker(new URL('../support/blocking-worker.ts', import.meta.url), {
    workerData: { to: addressOf(listener), script: 'echo' },
  })
  t.teardown(() => worker.terminate())
  const server = resetAtEnd(t, await acceptNext(listener))
  t.false(server.blocking)
  const report = once(worker, 'message')
  const sent = await receiveExactly(server, 5)
  await sleep(50)
  server.send(sent)
  t.deepEqual(await report, [{ status: 'sent', received: 5, text: 'hello', warnings: 0 }])
})

test('socket-raw: fd is the file descriptor', async (t) => {
  const { client } = await connectedPair(t)
  const listener = testListener(t)
  for (const { fd } of [client, listener]) t.regex(openDescriptors().get(fd) ?? '', /^socket:/)
  client.close()
  t.is(client.fd, -1)
})

test('make-io-multiplexer: the constructor adds the given sockets', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client, server))
  const targets = new Set<unknown>()
  await waitUntil(
    multiplexer,
    () => targets.size === 2,
    (events) => events.forEach(({ target }) => targets.add(target)),
  )
  t.deepEqual(targets, new Set([client, server]))
})

test('add-socket-to-io-multiplexer, remove-…: adding twice is an error; a closed socket is removed, and remove() of it is harmless', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(server, 'r')
  t.throws(() => multiplexer.add(server), { instanceOf: SocketError, code: 'EEXIST' })
  client.send('x')
  t.is((await multiplexer.wait(10_000))[0]?.target, server)
  multiplexer.remove(server)
  t.deepEqual(multiplexer.poll(), [])
  multiplexer.add(server)
  server.close()
  t.deepEqual(multiplexer.poll(), [])
  t.notThrows(() => multiplexer.remove(server))
})

test.serial('wait-for-events: reports up to 1,000 ready sockets at a time, each readable or writable', (t) => {
  const listener = testListener(t, 'unix', { backlog: 1001 })
  const clients = Array.from({ length: 1001 }, () => resetAtEnd(t, Socket.connect(addressOf(listener))))
  const multiplexer = closeAtEnd(t, new Multiplexer(...clients))
  const reported = new Map<unknown, number>()
  const batches: number[] = []
  while (reported.size < clients.length) {
    const events = multiplexer.waitSync(10_000)
    if (events.length === 0) break
    batches.push(events.length)
    for (const { target, writable } of events) if (writable) reported.set(target, (reported.get(target) ?? 0) + 1)
  }
  t.is(reported.size, 1001)
  t.true([...reported.values()].every((count) => count === 1))
  t.is(Math.max(...batches), 1000)
})

test('wait-for-events: a shutdown of the peer, a hang-up and an error are reported as readable', async (t) => {
  const { client, server } = await connectedPair(t)
  server.shutdown()
  t.like(await nextEvent(client, 'r'), { readable: true, readEnded: true, hangup: false, error: false })
  client.shutdown()
  t.like(await nextEvent(client, 'r'), { readable: true, hangup: true, error: false })
  const other = await connectedPair(t)
  other.server.reset()
  t.like(await nextEvent(other.client, 'r'), { readable: true, error: true })
})

test('wait-for-events: flushes queues and completes pending closes', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client))
  const taken = fillSendQueue(client)
  client.close()
  const receiving = receiveToEnd(server)
  await waitUntil(multiplexer, () => client.state === 'closed')
  t.is((await receiving).length, taken)
})

test('wait-for-events: a timeout gives an empty list, and a negative timeout is refused', async (t) => {
  const { client } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(client, 'r')
  t.deepEqual(
    [await multiplexer.wait(0), await multiplexer.wait(5), multiplexer.waitSync(5), multiplexer.poll()],
    [[], [], [], []],
  )
  await t.throwsAsync(multiplexer.wait(-1), { instanceOf: RangeError })
})

test('make-socket-stream: reading never blocks, a full queue and a closed socket are errors, closing twice is harmless', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const stream = toDuplex(client, { sendQueueLimit: 4096 })
  t.is(stream.socket, client)
  t.is(stream.read(), null)
  server.send('read me')
  await once(stream, 'readable')
  t.is(String(stream.read()), 'read me')
  const write = async (data: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => stream.write(data, (error) => (error ? reject(error) : resolve())))
  stream.on('error', () => {})
  const full = await t.throwsAsync(
    async () => {
      for (;;) await write(new Uint8Array(65536))
    },
    { instanceOf: SocketQueueError, code: 'ERR_SOCKET_QUEUE_FULL' },
  )
  t.true(full instanceof SocketError)
  stream.destroy()
  t.notThrows(() => stream.destroy())

  const other = await connectedPair(t)
  const closed = toDuplex(other.client)
  other.client.close()
  const error = await t.throwsAsync(new Promise((_, reject) => closed.on('error', reject).write('x')), {
    instanceOf: SocketClosedError,
  })
  t.true(error instanceof SocketError)
})

test('make-socket-stream: the stream can be piped like any other', async (t) => {
  const { client, server } = await connectedPair(t)
  const data = randomBytes(1 << 20)
  const there = toDuplex(server)
  there.pipe(there)
  const here = toDuplex(client)
  here.end(data)
  t.true((await buffer(here)).equals(data))
})

test('finalizers: an unreachable socket or multiplexer is closed when it is garbage-collected, with a warning', async (t) => {
  const listener = testListener(t)
  const { stdout, stderr } = await runModule(
    t,
    `
    import { readdirSync, readlinkSync } from 'node:fs'
    import { Multiplexer, Socket } from 'm-socket'
    const open = () => readdirSync('/proc/self/fd').filter((fd) => {
      try { return /socket|eventpoll/.test(readlinkSync('/proc/self/fd/' + fd)) } catch { return false }
    }).length
    const before = open()
    ;(() => { Socket.connect(${JSON.stringify(addressOf(listener))}); new Multiplexer() })()
    const during = open()
    for (let round = 0; round < 100 && open() > before; round++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    console.log(during - before, open() - before)`,
    { nodeArguments: ['--expose-gc'] },
  )
  t.is(stdout, '2 0\n')
  t.is(stderr.match(/SocketLeakWarning: A (Socket|Multiplexer) was garbage-collected/g)?.length, 2)
})

test('the example: an echo server on all addresses', async (t) => {
  const listener = closeAtEnd(t, Listener.bind({ host: '0.0.0.0' }))
  const { port } = listener.address as InetAddress
  const server = new EchoServer(listener)
  t.teardown(() => server.close())
  const clients = Array.from({ length: 10 }, () => toDuplex(Socket.connect({ port })))
  const echoes = await Promise.all(
    clients.map((client, index) => buffer(client.end(`client ${index}\n`.repeat(10_000)))),
  )
  t.deepEqual(
    echoes.map(String),
    clients.map((_, index) => `client ${index}\n`.repeat(10_000)),
  )
})

test('errors: have the failed call, the error code and errno', async (t) => {
  const port = freePort()
  const listener = testListener(t, 'IPv4', { port })
  const bound = t.throws(() => Listener.bind({ host: '127.0.0.1', port }), { instanceOf: SocketError }) as SocketError
  t.like(bound, { code: 'EADDRINUSE', errno: -constants.errno.EADDRINUSE, address: '127.0.0.1', port })
  listener.close()
  const client = resetAtEnd(t, Socket.connect({ port }))
  await connectOutcome(client)
  const error = t.throws(() => client.receive(byte), {
    instanceOf: SocketError,
    message: `connect ECONNREFUSED 127.0.0.1:${port}`,
  }) as SocketError
  t.like(error, {
    code: 'ECONNREFUSED',
    errno: -constants.errno.ECONNREFUSED,
    syscall: 'connect',
    address: '127.0.0.1',
    port,
  })
  await t.throwsAsync<NodeJS.ErrnoException>(Listener.bindHost({ host: 'm-socket.invalid' }), {
    message: /getaddrinfo E\w+ m-socket\.invalid/,
  })
})

// Its promises

test('promise: nothing blocks except the wait for events', async (t) => {
  const { client } = await smallBufferPair(t)
  const listener = testListener(t, 'IPv4', { backlog: 0 })
  await connectOutcome(resetAtEnd(t, Socket.connect(addressOf(listener))))
  // In blocking mode each of these would wait forever: for data, for room, for a connection, for an answer.
  let status
  do status = client.send(new Uint8Array(4096))
  while (status !== 'not-sent')
  const connecting = resetAtEnd(t, Socket.connect(addressOf(listener)))
  const found = [
    client.receive(byte),
    client.peek(byte),
    client.flush(),
    testListener(t).accept(),
    connecting.state,
    connecting.receive(byte),
  ]
  t.deepEqual(found, [null, null, false, null, 'connecting', null])
  client.shutdown()
  client.close()
  t.is(client.state, 'closing')
})

test('promise: no global state; any thread may call', async (t) => {
  const listener = testListener(t)
  const workers = Array.from({ length: 4 }, () => {
    const worker = new Worker(new URL('../support/blocking-worker.ts', import.meta.url), {
      workerData: { to: addressOf(listener), script: 'echo' },
    })
    t.teardown(() => worker.terminate())
    return worker
  })
  const reports = Promise.all(workers.map((worker) => once(worker, 'message')))
  for (const _ of workers) {
    const server = resetAtEnd(t, await acceptNext(listener))
    server.send(await receiveExactly(server, 5))
  }
  for (const [report] of await reports) t.like(report as object, { status: 'sent', received: 5, text: 'hello' })
})

// Its known problems

test('known problem 1: it cannot connect; ours connects without blocking', async (t) => {
  const listener = testListener(t)
  const client = Socket.connect(addressOf(listener))
  resetAtEnd(t, client)
  t.is(client.state, 'connecting')
  t.like(await nextEvent(client), { writable: true, error: false })
  t.is(client.state, 'open')
})

test.serial('known problem 2: resolving a host name blocks; ours never does', async (t) => {
  let answer!: (addresses: readonly string[]) => void
  mockLookup(t, { 'slow.example': new Promise<readonly string[]>((resolve) => (answer = resolve)) })
  let listener: Listener | undefined
  const binding = Listener.bindHost({ host: 'slow.example' }).then((bound) => (listener = closeAtEnd(t, bound)))
  for (let turns = 0; turns < 3; turns++) await turn()
  t.is(listener, undefined)
  answer(['127.0.0.1'])
  t.like((await binding).address, { address: '127.0.0.1' })
})

test("known problem 3: it copies every byte; ours uses the caller's memory and allocates none", async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  const memory = Buffer.alloc(2 * 65536)
  const [from, into] = [memory.subarray(0, 65536).fill('z'), memory.subarray(65536)]
  const before = process.memoryUsage().arrayBuffers
  let received = 0
  for (let round = 0; round < 2000; round++) {
    t.is(client.send(from), 'sent')
    for (let rest = from.length; rest > 0;) {
      const count = server.receive(into) ?? 0
      if (count === 0) return t.fail('a unix socket delivers at once')
      rest -= count
      received += count
    }
  }
  t.is(received, 2000 * 65536)
  t.true(into.equals(from))
  const grown = process.memoryUsage().arrayBuffers - before
  t.true(grown < 1 << 20, `${grown} bytes of new array buffers`)
})

test('known problem 4: it was tried on few hosts; ours names the versions of Node that its tests run on', (t) => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string }
  }
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node) ?? []
  const [ownMajor = 0, ownMinor = 0] = process.versions.node.split('.').map(Number)
  t.true(
    ownMajor > Number(major) || (ownMajor === Number(major) && ownMinor >= Number(minor)),
    `${process.versions.node} is ${engines.node}`,
  )
})

// Its errors

test('error 1: the end of the peer closes the whole socket; ours stays half open', async (t) => {
  const { client, server } = await connectedPair(t)
  client.send('question')
  client.shutdown()
  t.is(String(await receiveToEnd(server)), 'question')
  t.is(server.state, 'open')
  t.is(server.send('answer'), 'sent')
  server.close()
  t.is(String(await receiveToEnd(client)), 'answer')
})

test.serial('error 2: its event table is keyed by descriptor, which the kernel reuses; ours is keyed by handle', (t) =>
  retryUntilReused(async () => {
    const pairs = [await connectedPair(t), await connectedPair(t)]
    const [first, second] = pairs.map(({ client }) => client) as [Socket, Socket]
    const multiplexer = closeAtEnd(t, new Multiplexer())
    multiplexer.add(first, 'r')
    multiplexer.add(second, 'r')
    for (const { server } of pairs) server.send('x')
    const listener = testListener(t)
    let events: ReadyEvent[] = []
    await waitUntil(
      multiplexer,
      () => events.length === 2,
      (batch) => (events = batch),
    )
    // Before the event is handled, the socket is closed and a new one gets the same descriptor number.
    const { fd } = second
    second.reset()
    multiplexer.add(
      openWithDescriptor(fd, () => resetAtEnd(t, Socket.connect(addressOf(listener)))),
      'r',
    )
    const stale = events.find(({ target }) => target === second)
    t.like(stale, { readable: false, writable: false, readEnded: false, hangup: false, error: false })
    t.deepEqual(
      multiplexer.poll().map(({ target }) => target),
      [first],
    )
  }),
)

test('error 3: an edge-triggered socket that was not drained is never reported again; ours is', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(server, 'r', 'edge')
  client.send('12345')
  let reports = 0
  for (let received = 0; received < 5; received += server.receive(byte) ?? 0) {
    const events = await multiplexer.wait(10_000)
    if (events.length !== 1) return t.fail('there is more to read')
    reports++
  }
  t.is(reports, 5)
  t.deepEqual(multiplexer.poll(), [])
})
