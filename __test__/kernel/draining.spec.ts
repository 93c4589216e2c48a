import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { type Event, type InetAddress, Listener, Multiplexer, Socket, SocketError, listen, toDuplex } from 'm-socket'

import { startModule } from '../support/child.js'
import { unixPairs } from '../support/unix-pairs.js'
import { nextTurn } from '../support/timing.js'
import { FAMILIES, addressOf, closeAtEnd, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { flagsFor, flagsOf, targetsOf } from '../support/event-flags.js'
import { EPOLL_WAIT, runUnderStrace, timeoutOf } from '../support/strace.js'
import { connectOutcome, until, waitUntil } from '../support/waiting.js'

const PATIENCE = 10_000

const WAITS: Record<string, (multiplexer: Multiplexer, timeout: number) => Event[] | Promise<Event[]>> = {
  wait: (multiplexer, timeout) => multiplexer.wait(timeout),
  waitSync: (multiplexer, timeout) => multiplexer.waitSync(timeout),
}

/** Receives once, into more room than there is data; what came, in words. */
function receiveOnce(socket: Socket): string {
  try {
    const into = Buffer.alloc(100)
    const count = socket.receive(into)
    return count === null ? 'nothing' : count === 0 ? 'end' : into.toString('latin1', 0, count)
  } catch (error) {
    if (error instanceof SocketError) return error.code
    throw error
  }
}

/** Receives once for each event, until nothing more is told. */
async function receiveOncePerEvent(multiplexer: Multiplexer, socket: Socket): Promise<string[]> {
  const received: string[] = []
  let patience = PATIENCE
  for (;;) {
    const [event] = await multiplexer.wait(patience)
    if (!event) return received
    if (event.target !== socket || !event.readable) continue
    received.push(receiveOnce(socket))
    // After the last word of a connection silence is what is waited for.
    if (received.at(-1)!.startsWith('E') || received.at(-1) === 'end') patience = 50
    if (received.length > 10) return received
  }
}

for (const family of FAMILIES) {
  for (const [name, wait] of Object.entries(WAITS)) {
    test(`truth 1: a_partial_read_is_told_again_without_new_data_and_an_exactly_filling_one_is_not (${family}, ${name})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      const multiplexer = closeAtEnd(t, new Multiplexer())
      multiplexer.add(server, 'r')
      client.send('abcdef')
      t.deepEqual(targetsOf(await wait(multiplexer, PATIENCE)), [server])
      t.is(server.receive(new Uint8Array(2)), 2)
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable')
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable', 'also when nothing at all was read')
      t.is(
        server.receive(new Uint8Array(4)),
        4,
        'the array is full, and so the read alone does not tell whether more waits',
      )
      t.deepEqual(await wait(multiplexer, 30), [])
      client.send('g')
      t.is(flagsFor(server, await wait(multiplexer, PATIENCE)), 'readable')
    })
  }

  const ENDS: [string, string, (client: Socket, server: Socket) => void][] = [
    ['a fin', 'end', (client) => client.shutdown()],
    ['both fins', 'end', (client, server) => (server.shutdown(), client.shutdown())],
    ['a close', 'end', (client) => client.close()],
    // A Unix socket knows no RST: its peer reads the end.
    ['a reset', family === 'unix' ? 'end' : 'ECONNRESET', (client) => client.reset()],
  ]

  for (const [name, last, end] of ENDS) {
    test(`truth 2: data_and_${name.replaceAll(' ', '_')}_in_one_edge_deliver_both (${family})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      const multiplexer = closeAtEnd(t, new Multiplexer())
      multiplexer.add(server, 'r')
      client.send('abc')
      end(client, server)
      t.deepEqual(await receiveOncePerEvent(multiplexer, server), ['abc', last])
    })

    test(`truth 2: data_and_${name.replaceAll(' ', '_')}_in_one_edge_deliver_both_to_a_stream (${family})`, async (t) => {
      const { client, server } = await connectedPair(t, family)
      client.send('abc')
      end(client, server)
      const duplex = toDuplex(server)
      const received: string[] = []
      duplex.on('data', (chunk) => received.push(String(chunk)))
      duplex.on('end', () => received.push('end'))
      duplex.on('error', (error: NodeJS.ErrnoException) => received.push(error.code ?? ''))
      duplex.end()
      await new Promise((resolve) => duplex.once('close', resolve))
      t.deepEqual(received, ['abc', last])
    })
  }
}

// Fairness

const PINGERS = 99
const ROUNDS = 10

/** A process that sends as fast as it can, until it is killed. */
function startHose(t: ExecutionContext, listener: Listener): void {
  startModule(
    t,
    `
    import { connect } from 'node:net'
    const water = Buffer.alloc(1 << 20)
    const hose = connect(${JSON.stringify({ ...addressOf(listener) })})
    const pour = () => { while (hose.write(water)); }
    hose.on('connect', pour).on('drain', pour).on('error', () => {})`,
  )
}

/** The value below which 99 of 100 lie. */
function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99) - 1]!
}

test('truth 3: a_fire_hose_and_99_pingers_get_their_turns', async (t) => {
  const listener = testListener(t)
  startHose(t, listener)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const hose = await firstOf(listener)
  resetAtEnd(t, hose)
  await until(() => hose.peek(new Uint8Array(1)) === 1)
  multiplexer.add(hose, 'r')
  const pairs = unixPairs(t, PINGERS)
  for (const { server } of pairs) multiplexer.add(server, 'r')

  const into = Buffer.alloc(65536)
  const waits: number[] = []
  let poured = 0
  for (let round = 0; round < ROUNDS; round++) {
    const awaited = new Map(pairs.map(({ client, server }) => [server, client]))
    for (const client of awaited.values()) client.send('ping')
    for (let wait = 1; awaited.size > 0 && wait < 100; wait++) {
      for (const { target } of await multiplexer.wait(PATIENCE)) {
        const count = (target as Socket).receive(into)
        if (target === hose) poured += count ?? 0
        else if (awaited.delete(target as Socket)) waits.push(wait)
      }
    }
  }
  t.is(waits.length, PINGERS * ROUNDS)
  t.is(p99(waits), 1, 'who has news is told of at the very next wait, whatever the hose has')
  t.true(poured > 0)
})

test('truth 3: a_stream_that_is_a_fire_hose_leaves_99_others_their_turns', async (t) => {
  const listener = testListener(t)
  startHose(t, listener)
  const hose = toDuplex(await firstOf(listener))
  t.teardown(() => hose.destroy())
  let poured = 0
  hose.on('data', (chunk: Buffer) => (poured += chunk.length))
  await until(() => poured > 0)
  const pairs = unixPairs(t, PINGERS).map(({ client, server }) => [toDuplex(client), toDuplex(server)] as const)
  for (const [, server] of pairs) server.pipe(server)
  t.teardown(() => pairs.flat().map((duplex) => duplex.destroy()))

  const costs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = poured
    await Promise.all(
      pairs.map(async ([client]) => {
        client.write('ping')
        await once(client, 'data')
        costs.push(poured - before)
      }),
    )
  }
  t.is(costs.length, PINGERS * ROUNDS)
  t.true(poured > 0)
  // A turn of the stream is 16 times 64 KiB; an echo among a hundred takes a few turns there and back.
  t.true(p99(costs) <= 16 * 65536 * 8, `${p99(costs)} bytes went by before an echo`)
})

const CROWD = 300

test('truth 3: connections_that_come_in_a_flood_leave_others_their_turns (handlers)', async (t) => {
  let opened = 0
  const server = listen({ hostname: '127.0.0.1', backlog: CROWD, socket: { open: () => void opened++ } })
  t.teardown(() => server.stop(true))
  await flood(t, { port: server.port! })
  const steps = await openedPerTurn(() => opened)
  t.is(opened, CROWD)
  // A turn of Node's loop is up to 4 looks of 64 connections.
  t.true(Math.max(...steps) <= 256, `${steps}`)
})

test('truth 3: connections_that_come_in_a_flood_leave_others_their_turns (iteration)', async (t) => {
  const listener = testListener(t, 'IPv4', { backlog: CROWD })
  await flood(t, addressOf(listener) as { port: number })
  let opened = 0
  void (async () => {
    for await (const socket of listener) {
      resetAtEnd(t, socket)
      opened++
    }
  })()
  const steps = await openedPerTurn(() => opened)
  t.is(opened, CROWD)
  t.true(Math.max(...steps) <= 128, `${steps}`)
})

/** Opens connections that wait to be accepted. All of it is synchronous, so that nobody is accepted meanwhile. */
async function flood(t: ExecutionContext, to: { port: number }): Promise<void> {
  for (let count = 0; count < CROWD; count++) resetAtEnd(t, Socket.connect(to))
}

/** How many were opened in each turn of Node's loop, until all were. */
async function openedPerTurn(opened: () => number): Promise<number[]> {
  const steps: number[] = []
  for (let turns = 0; turns < 10_000 && opened() < CROWD; turns++) {
    const before = opened()
    await nextTurn()
    if (opened() > before) steps.push(opened() - before)
  }
  return steps
}

async function firstOf(listener: Listener): Promise<Socket> {
  let accepted: Socket | null = null
  await until(() => (accepted = listener.accept()) !== null, listener)
  return accepted!
}

// The ready list and the kernel

for (const [name, wait] of Object.entries(WAITS)) {
  test(`truth 4: who_becomes_ready_does_not_wait_behind_who_always_is (${name})`, async (t) => {
    const always = await connectedPair(t)
    const later = await connectedPair(t)
    const multiplexer = closeAtEnd(t, new Multiplexer())
    multiplexer.add(always.server, 'r')
    multiplexer.add(later.server, 'r')
    always.client.send('never read')
    await until(() => always.server.peek(new Uint8Array(1)) === 1)
    for (let round = 0; round < 20; round++) {
      t.is(flagsFor(always.server, await wait(multiplexer, PATIENCE)), 'readable', 'and the wait does not sleep')
      later.client.send('x')
      await until(() => later.server.peek(new Uint8Array(1)) === 1)
      const events = await wait(multiplexer, PATIENCE)
      t.is(flagsFor(always.server, events), 'readable')
      t.is(flagsFor(later.server, events), 'readable')
      t.is(later.server.receive(new Uint8Array(10)), 1)
    }
  })
}

testWith(['strace'], 'truth 4: epoll_wait_does_not_sleep_while_the_ready_list_is_not_empty', async (t) => {
  const { code, stderr, calls } = await runUnderStrace(
    t,
    `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ path: '\\0m-socket-truth-4-' + process.pid })
    const multiplexer = new Multiplexer()
    const client = Socket.connect(listener.address)
    const server = listener.accept()
    client.send('never read')
    multiplexer.add(server, 'r')
    for (let wait = 0; wait < 10; wait++) if (multiplexer.waitSync(77_777).length !== 1) throw new Error('not ready')
    server.receive(Buffer.alloc(100))
    if (multiplexer.waitSync(1055).length !== 0) throw new Error('ready')
    for (const each of [listener, multiplexer, client, server]) each.close()
  `,
    EPOLL_WAIT,
  )
  t.is(code, 0, stderr)
  const timeouts = calls.flatMap(timeoutOf)
  // The first wait has nothing on its list yet; the last one sleeps, since who was drained is on it no more.
  // It sleeps by slices of 250 ms.
  t.deepEqual(
    timeouts.slice(1, 10).filter((timeout) => timeout !== 0),
    [],
    calls.join('\n'),
  )
  t.true(
    timeouts.slice(10).some((timeout) => timeout > 0 && timeout <= 250),
    calls.join('\n'),
  )
  t.true(
    timeouts.slice(10).every((timeout) => timeout <= 250),
    calls.join('\n'),
  )
})

const MORE_THAN_A_BATCH = 2500

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  test.serial(`truth 5: of_more_ready_descriptors_than_a_batch_holds_nobody_is_missed (${mode})`, async (t) => {
    const pairs = unixPairs(t, MORE_THAN_A_BATCH)
    const multiplexer = closeAtEnd(t, new Multiplexer())
    for (const { client, server } of pairs) {
      client.send('x')
      multiplexer.add(server, 'r', mode)
    }
    const told = new Map<unknown, number>()
    // Each wait names a thousand more and tells the list's first thousand: twice the batches at most.
    for (let wait = 0; wait < 6 && told.size < MORE_THAN_A_BATCH; wait++) {
      const events = multiplexer.poll()
      t.true(events.length <= 1000)
      for (const event of events) {
        t.is(flagsOf(event), 'readable')
        told.set(event.target, (told.get(event.target) ?? 0) + 1)
      }
    }
    t.is(told.size, MORE_THAN_A_BATCH)
    if (mode === 'oneshot') t.deepEqual(multiplexer.poll(), [])
    else t.is(targetsOf(multiplexer.poll()).length, 1000, 'who was not read from is told of again')
  })
}

test.serial('truth 5: of_more_ready_descriptors_than_a_batch_holds_nobody_is_told_of_who_was_drained', async (t) => {
  const pairs = unixPairs(t, MORE_THAN_A_BATCH)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const { client, server } of pairs) {
    client.send('x')
    multiplexer.add(server, 'r')
  }
  const into = new Uint8Array(1)
  let received = 0
  for (let events = await multiplexer.wait(PATIENCE); events.length > 0; events = await multiplexer.wait(30)) {
    for (const { target } of events) received += (target as Socket).receive(into) ?? 1_000_000
  }
  t.is(received, MORE_THAN_A_BATCH)
})

test('truth 5: connections_of_all_kinds_make_themselves_heard_in_one_crowd', async (t) => {
  const listener = testListener(t, 'IPv4', { backlog: 2000 })
  const { port } = listener.address as InetAddress
  const clients = Array.from({ length: 1100 }, () => resetAtEnd(t, Socket.connect({ port })))
  const multiplexer = closeAtEnd(t, new Multiplexer(...clients))
  multiplexer.add(listener, 'r')
  const open = new Set<unknown>()
  const servers: Socket[] = []
  await waitUntil(
    multiplexer,
    () => open.size === clients.length && servers.length === clients.length,
    (events) => {
      for (const { target, writable } of events) {
        if (target !== listener) {
          if (writable) open.add(target)
          continue
        }
        for (let socket = listener.accept(); socket; socket = listener.accept()) servers.push(resetAtEnd(t, socket))
      }
    },
  )
  t.is(await connectOutcome(resetAtEnd(t, Socket.connect({ port }))), 'open')
  t.is(servers.length, clients.length)
})
