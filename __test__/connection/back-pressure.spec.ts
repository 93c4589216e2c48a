import { type Hash, createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'

import test, { type ExecutionContext } from 'ava'
import type { Connection, Handlers } from 'm-socket'

import { outcomeOf, start } from '../support/child.js'
import { connectionPair, smallBufferConnectionPair } from '../support/connection-pair.js'
import { fixturePath, run } from '../support/fixture.js'
import { residentBytes } from '../support/memory.js'
import type { Family } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { testServer } from '../support/server.js'
import { sleep } from '../support/timing.js'
import { freePath } from '../support/unix.js'
import { until } from '../support/waiting.js'

const MIB = 1 << 20

/** The odd length keeps the written bytes from repeating at a power of two. */
const POOL = randomBytes(MIB - 1)

/** Bytes per write. */
const PIECE = 100_003

type Verb = 'write' | 'tryWrite'

/** Writes more than any queue may hold; after a short write it continues in `drain`. */
class Pump {
  readonly sum = createHash('sha256')
  readonly #verb: Verb
  readonly #total: number
  #written = 0
  shortWrites = 0
  drains = 0
  /** The largest queue seen, in bytes. */
  peak = 0
  /** The largest resident memory of the process seen, in bytes. */
  memory = 0

  constructor(verb: Verb, total: number) {
    this.#verb = verb
    this.#total = total
  }

  get handlers(): Handlers {
    return {
      open: (connection) => this.#pump(connection),
      drain: (connection) => {
        this.drains++
        this.#pump(connection)
      },
    }
  }

  #pump(connection: Connection): void {
    while (this.#written < this.#total) {
      const at = this.#written % POOL.length
      const length = Math.min(PIECE, POOL.length - at, this.#total - this.#written)
      const taken = connection[this.#verb](POOL, at, length)
      if (taken < 0 || taken > length) throw new Error(`${this.#verb} took ${taken} of ${length}`)
      this.sum.update(POOL.subarray(at, at + taken))
      this.#written += taken
      this.peak = Math.max(this.peak, connection.socket!.queued)
      this.memory = Math.max(this.memory, residentBytes())
      if (taken === length) continue
      this.shortWrites++
      return
    }
    connection.end()
  }
}

/** Reads a connection to its end, pausing after each chunk. */
function slowly(sum: Hash, onEnd: () => void): Handlers {
  return {
    data(connection, chunk) {
      sum.update(chunk)
      connection.pause()
      setTimeout(() => connection.resume(), 1)
    },
    end: onEnd,
  }
}

for (const family of ['IPv4', 'unix'] as const) {
  for (const verb of ['write', 'tryWrite'] as const) {
    test.serial(`a_slow_receiver_gets_every_byte: ${verb}, ${family}`, async (t) => {
      const pump = new Pump(verb, 4 * MIB)
      const received = createHash('sha256')
      let ended = false
      const { connection, accepted } = await connectionPair(t, {
        family,
        server: { sendQueueLimit: 50_000, sendBufferSize: 32768, socket: pump.handlers },
        client: { receiveBufferSize: 32768, socket: slowly(received, () => (ended = true)) },
      })
      await until(() => ended)
      t.is(connection.bytesRead, 4 * MIB)
      t.is(received.digest('hex'), pump.sum.digest('hex'))
      t.is(pump.peak, verb === 'write' ? 50_000 : 0)
      t.true(pump.shortWrites > 0)
      t.is(pump.drains, pump.shortWrites)
      await until(() => accepted.readyState === 0)
      t.is(accepted.bytesWritten, 4 * MIB)
    })
  }

  test.serial(`end_delivers_all_of_its_data_to_a_slow_receiver: ${family}`, async (t) => {
    const data = randomBytes(4 * MIB)
    const sum = createHash('sha256').update(data).digest('hex')
    const received = createHash('sha256')
    let ended = false
    let drains = 0
    let mostQueued = 0
    const { connection, accepted } = await connectionPair(t, {
      family,
      server: {
        sendQueueLimit: 50_000,
        sendBufferSize: 32768,
        socket: {
          open(it) {
            t.is(it.end(data), data.length)
            mostQueued = it.socket!.queued
            // end() has copied what it queued: the caller may reuse its buffer.
            data.fill(0)
          },
          drain: () => void drains++,
        },
      },
      client: { receiveBufferSize: 32768, socket: slowly(received, () => (ended = true)) },
    })
    await until(() => ended)
    t.is(connection.bytesRead, data.length)
    t.is(received.digest('hex'), sum)
    t.true(mostQueued > 50_000 && mostQueued < data.length)
    await until(() => accepted.readyState === 0)
    // end() accepted everything, so no `drain` follows.
    t.is(drains, 0)
  })
}

/** Sent to a slow reader: without back-pressure all of it would be in this process's memory. */
const MUCH = 64 * MIB

for (const verb of ['write', 'tryWrite'] as const) {
  testWith(['python3'], `a_slow_program_gets_every_byte_and_memory_stays_bounded: ${verb}, IPv4`, async (t) => {
    const pump = new Pump(verb, MUCH)
    const server = testServer(t, { socket: pump.handlers })
    const before = residentBytes()
    const { code, stdout, stderr } = await run(t, 'python3', [fixturePath('slow_reader.py'), String(server.port)])
    t.is(code, 0, stderr)
    t.is(stdout.trim(), `${MUCH} ${pump.sum.digest('hex')}`)
    staysSmall(t, pump, verb, before)
  })

  testWith(['socat'], `a_slow_program_gets_every_byte_and_memory_stays_bounded: ${verb}, unix`, async (t) => {
    const pump = new Pump(verb, MUCH)
    const server = testServer(t, { path: freePath(t), socket: pump.handlers })
    const before = residentBytes()
    const child = start(t, 'socat', ['-u', '-b', '65536', `UNIX-CONNECT:${server.path}`, 'STDOUT'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const received = await readSlowly(child.stdout!)
    t.is(received, `${MUCH} ${pump.sum.digest('hex')}`)
    staysSmall(t, pump, verb, before)
  })
}

testWith(['python3'], 'end_delivers_all_of_its_data_to_a_slow_program: IPv4', async (t) => {
  const data = randomBytes(16 * MIB)
  const server = testServer(t, { socket: { open: (it) => void it.end(data) } })
  const before = residentBytes()
  const reading = outcomeOf(
    start(t, 'python3', [fixturePath('slow_reader.py'), String(server.port)], { stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  await until(() => server.connections === 1)
  // The queue holds one copy of the data.
  const grown = residentBytes() - before
  t.true(grown < 48 * MIB, `${(grown / MIB).toFixed(1)} MiB more`)
  const { code, stdout, stderr } = await reading
  t.is(code, 0, stderr)
  t.is(stdout.trim(), `${data.length} ${createHash('sha256').update(data).digest('hex')}`)
  await until(() => server.connections === 0)
})

testWith(['socat'], 'end_delivers_all_of_its_data_to_a_slow_program: unix', async (t) => {
  const data = randomBytes(16 * MIB)
  const server = testServer(t, { path: freePath(t), socket: { open: (it) => void it.end(data) } })
  const child = start(t, 'socat', ['-u', '-b', '65536', `UNIX-CONNECT:${server.path}`, 'STDOUT'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.is(await readSlowly(child.stdout!), `${data.length} ${createHash('sha256').update(data).digest('hex')}`)
  await until(() => server.connections === 0)
})

test.serial('an_echo_that_pauses_until_drain_loses_nothing_and_respects_the_queue_limit', async (t) => {
  const total = 4 * MIB
  const left = new Map<Connection, Buffer>()
  let peak = 0
  let pauses = 0
  const echo = (it: Connection, chunk: Buffer): void => {
    const taken = it.write(chunk)
    peak = Math.max(peak, it.socket!.queued)
    if (taken === chunk.length) return
    pauses++
    left.set(it.pause(), chunk.subarray(taken))
  }
  const pump = new Pump('write', total)
  const received = createHash('sha256')
  let ended = false
  const { connection } = await connectionPair(t, {
    server: {
      sendQueueLimit: 20_000,
      sendBufferSize: 32768,
      receiveBufferSize: 32768,
      socket: {
        data: echo,
        drain(it) {
          const rest = left.get(it)!
          left.delete(it)
          echo(it, rest)
          if (!left.has(it)) it.resume()
        },
      },
    },
    client: {
      sendBufferSize: 32768,
      receiveBufferSize: 32768,
      socket: { ...pump.handlers, ...slowly(received, () => (ended = true)) },
    },
  })
  await until(() => ended)
  t.is(connection.bytesRead, total)
  t.is(received.digest('hex'), pump.sum.digest('hex'))
  t.is(peak, 20_000)
  t.true(pauses > 3)
})

// When drain is called

/** A connection whose peer reads nothing until it is resumed, and a count of its `drain` calls. */
async function stalled(
  t: ExecutionContext,
  family: Family,
  sendQueueLimit = 65536,
  onDrain: (it: Connection) => void = () => {},
) {
  let drains = 0
  const { connection, accepted } = await smallBufferConnectionPair(t, {
    family,
    server: { socket: { open: (it) => void it.pause(), data: () => {} } },
    client: {
      sendQueueLimit,
      socket: {
        drain(it) {
          drains++
          onDrain(it)
        },
      },
    },
  })
  return { connection, accepted, drains: () => drains }
}

for (const family of ['IPv4', 'unix'] as const) {
  test(`no_drain_follows_a_write_that_was_queued_whole: ${family}`, async (t) => {
    const { connection, accepted, drains } = await stalled(t, family, 2 * MIB)
    t.is(connection.write(Buffer.alloc(MIB)), MIB)
    t.true(connection.socket!.queued > 0)
    accepted.resume()
    await until(() => connection.bytesWritten === MIB)
    await sleep(20)
    t.is(drains(), 0)
  })

  test(`several_short_writes_are_followed_by_one_drain: ${family}`, async (t) => {
    const taken: number[] = []
    const { connection, accepted, drains } = await stalled(t, family, 50_000, (it) => void taken.push(it.write('room')))
    t.true(connection.write(Buffer.alloc(MIB)) < MIB)
    t.is(connection.write(Buffer.alloc(MIB)), 0)
    t.is(connection.tryWrite('x'), 0)
    await sleep(50)
    t.is(drains(), 0)
    accepted.resume()
    await until(() => drains() > 0)
    await sleep(20)
    t.is(drains(), 1)
    t.deepEqual(taken, [4])
    await until(() => accepted.bytesRead === connection.bytesWritten)
    t.is(connection.socket!.queued, 0)
  })

  test(`a_short_tryWrite_is_followed_by_drain: ${family}`, async (t) => {
    const { connection, accepted, drains } = await stalled(t, family)
    await fillKernel(connection)
    const before = drains()
    await sleep(50)
    t.is(drains(), before)
    accepted.resume()
    await until(() => drains() > before)
    await sleep(20)
    t.is(drains(), before + 1)
  })

  test(`a_paused_connection_gets_drain: ${family}`, async (t) => {
    const { connection, accepted, drains } = await stalled(t, family)
    connection.pause()
    connection.write(Buffer.alloc(MIB))
    accepted.resume()
    await until(() => drains() > 0)
    t.is(drains(), 1)
  })

  test(`no_drain_follows_an_end_that_was_queued_whole: ${family}`, async (t) => {
    const { connection, accepted, drains } = await stalled(t, family)
    t.is(connection.end(Buffer.alloc(MIB)), MIB)
    accepted.resume()
    await until(() => connection.readyState === 0)
    t.is(accepted.bytesRead, MIB)
    t.is(drains(), 0)
  })
}

test('a_short_write_in_drain_leads_to_another_drain', async (t) => {
  let left = 5
  const { connection, accepted, drains } = await stalled(t, 'IPv4', 1000, (it) => {
    if (--left > 0) it.write(Buffer.alloc(MIB))
  })
  connection.write(Buffer.alloc(MIB))
  accepted.resume()
  await until(() => left === 0)
  await sleep(20)
  t.is(drains(), 5)
})

test('a_connection_closed_while_waiting_for_drain_gets_none', async (t) => {
  const { connection, drains } = await stalled(t, 'IPv4')
  connection.write(Buffer.alloc(MIB))
  connection.terminate()
  await sleep(20)
  t.is(drains(), 0)
})

/** Writes until the kernel's buffers are full. Bytes that move on to the peer's receive buffer make room again. */
async function fillKernel(connection: Connection): Promise<void> {
  for (let refusals = 0; refusals < 3;) {
    refusals = connection.tryWrite(Buffer.alloc(MIB)) === 0 ? refusals + 1 : 0
    await sleep(10)
  }
}

/** Asserts that the queue grew to its limit only, and that the written bytes did not pile up in memory. */
function staysSmall(t: ExecutionContext, pump: Pump, verb: Verb, before: number): void {
  t.is(pump.peak, verb === 'write' ? 65536 : 0)
  t.true(pump.shortWrites > 0)
  t.is(pump.drains, pump.shortWrites)
  const grown = pump.memory - before
  t.true(grown < (MUCH * 3) / 4, `${(grown / MIB).toFixed(1)} MiB more`)
}

/** Reads a stream to its end, pausing after each eighth chunk; returns the number of bytes and their SHA-256. */
async function readSlowly(stream: Readable): Promise<string> {
  const sum = createHash('sha256')
  let count = 0
  let chunks = 0
  stream.on('data', (chunk: Buffer) => {
    sum.update(chunk)
    count += chunk.length
    if (++chunks % 8 !== 0) return
    stream.pause()
    setTimeout(() => stream.resume(), 1)
  })
  await once(stream, 'end')
  return `${count} ${sum.digest('hex')}`
}
