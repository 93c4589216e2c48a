// Memory that a program transfers elsewhere: the pool of a chunk, the array of `receiveInto`, the array of a read. All
// connections of a thread share a pool, so that the tests run one after the other.

import process from 'node:process'

import test, { type ExecutionContext } from 'ava'
import { type Connection, type Socket } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { detach, detachProtected, resizable } from '../support/memory.js'
import { connectSocket, testServer } from '../support/server.js'
import { nextTurn } from '../support/timing.js'
import { until } from '../support/waiting.js'

const COUNT = 10

/** What the connections of one server have received, and the peers that send to them, each a text of its own. */
interface Crowd {
  readonly received: Map<Connection<undefined>, string>
  readonly peers: Socket[]
  readonly failures: Error[]
}

/** Ten connections; `act` is called with the chunks of each, before they are counted. */
async function crowd(
  t: ExecutionContext,
  act: (connection: Connection<undefined>, chunk: Buffer) => void,
  options: object = {},
): Promise<Crowd> {
  const received = new Map<Connection<undefined>, string>()
  const failures: Error[] = []
  const server = testServer<undefined>(t, {
    ...options,
    socket: {
      open: (connection) => void received.set(connection, ''),
      data(connection, chunk) {
        received.set(connection, received.get(connection)! + String(chunk))
        act(connection, chunk)
      },
      error: (_, error) => void failures.push(error),
    },
  })
  const peers = Array.from({ length: COUNT }, () => connectSocket(t, server))
  await until(() => received.size === COUNT)
  return { received, peers, failures }
}

function sendAll({ peers }: Crowd, round: number): void {
  for (const [index, peer] of peers.entries()) peer.send(`${round}${String(index).repeat(50)}`)
}

/** What all have received, when all have sent `rounds` times. */
function expected(rounds: number): string[] {
  return Array.from({ length: COUNT }, (_, index) =>
    Array.from({ length: rounds }, (_unused, round) => `${round}${String(index).repeat(50)}`).join(''),
  ).sort()
}

function isComplete({ received }: Crowd, rounds: number): boolean {
  return [...received.values()].every((text) => text.length === rounds * 51)
}

test.serial('the_memory_of_a_chunk_cannot_be_transferred', async (t) => {
  const chunks: Buffer[] = []
  const { connection } = await connectionPair(t, {
    server: { socket: { data: (_, chunk) => void chunks.push(chunk) } },
  })
  connection.write('hello')
  await until(() => chunks.length > 0)
  const buffer = chunks[0]!.buffer as unknown as Record<string, unknown> & ArrayBuffer
  for (const name of ['transfer', 'transferToFixedLength']) {
    if (!(name in ArrayBuffer.prototype)) {
      t.false(name in buffer)
      continue
    }
    const error = t.throws(() => (buffer[name] as () => void)(), { name: 'DataCloneError', message: /Copy the chunk/ })
    t.true(error instanceof DOMException)
  }
  t.is(String(chunks[0]), 'hello')
  t.deepEqual(Object.keys(buffer), [])
  t.is(String(Buffer.from(structuredClone(chunks[0]!))), 'hello')
})

test.serial('a_handler_that_detaches_the_memory_of_its_chunk_takes_no_input_of_others_away', async (t) => {
  let detached = 0
  const all = await crowd(t, (_, chunk) => void (detachProtected(chunk.buffer) && detached++))
  for (let round = 0; round < 3; round++) {
    sendAll(all, round)
    await until(() => isComplete(all, round + 1))
  }
  t.deepEqual([...all.received.values()].sort(), expected(3))
  t.deepEqual(all.failures, [])
  for (const connection of all.received.keys()) t.is(connection.bytesRead, 3 * 51)
  t.true(detached === 0 || detached > COUNT)
})

test.serial('input_of_a_paused_connection_survives_the_detaching_of_its_memory', async (t) => {
  let first: Connection<undefined> | undefined
  const all = await crowd(t, (connection, chunk) => {
    if (first) return
    first = connection
    detachProtected(chunk.buffer)
    for (const other of all.received.keys()) other.pause()
  })
  sendAll(all, 0)
  await until(() => first !== undefined)
  await nextTurn()
  for (const other of all.received.keys()) other.resume()
  await until(() => isComplete(all, 1))
  t.deepEqual([...all.received.values()].sort(), expected(1))
})

test.serial('an_iteration_does_not_take_a_chunk_that_was_detached_for_the_end', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const chunks = accepted[Symbol.asyncIterator]()
  const first = chunks.next()
  connection.write('first')
  const { buffer } = (await first).value as Buffer
  // The chunk is received at once, before the iteration gets it.
  connection.write('second')
  await until(() => accepted.socket!.peek(new Uint8Array(8)) === 6)
  const second = chunks.next()
  if (detachProtected(buffer)) {
    await t.throwsAsync(second, { code: 'ERR_INVALID_STATE', message: /memory of a chunk was transferred/ })
  } else {
    t.is(String((await second).value), 'second')
  }
  t.is(accepted.state, 'open')
  connection.end('third')
  const rest: string[] = []
  for await (const chunk of accepted) rest.push(String(chunk))
  t.deepEqual(rest, ['third'])
})

/** The warnings of this process, from here to the end of the test. */
function warnings(t: ExecutionContext): string[] {
  const names: string[] = []
  const keep = ({ name, message }: Error): void => void names.push(`${name}: ${message}`)
  process.on('warning', keep)
  t.teardown(() => process.off('warning', keep))
  return names
}

const LOSSES: [string, () => { array: Uint8Array; lose: () => void }][] = [
  [
    'was_transferred',
    () => {
      const array = new Uint8Array(16)
      return { array, lose: () => void detach(array) }
    },
  ],
  [
    'shrank_to_nothing',
    () => {
      const buffer = resizable(16)
      return { array: new Uint8Array(buffer), lose: () => buffer.resize(0) }
    },
  ],
  [
    'shrank_below_its_length',
    () => {
      const buffer = resizable(16)
      return { array: new Uint8Array(buffer, 0, 16), lose: () => buffer.resize(8) }
    },
  ],
]

for (const [what, make] of LOSSES) {
  test.serial(`where_the_array_of_receiveInto_${what}_chunks_come_with_memory_of_their_own`, async (t) => {
    const seen = warnings(t)
    const { array, lose } = make()
    const all = await crowd(t, () => {}, { receiveInto: array })
    sendAll(all, 0)
    await until(() => isComplete(all, 1))
    lose()
    sendAll(all, 1)
    await until(() => isComplete(all, 2))
    t.deepEqual([...all.received.values()].sort(), expected(2))
    t.deepEqual(all.failures, [])
    t.deepEqual(
      seen.filter((it) => it.includes('receiveInto')),
      [
        'SocketBufferWarning: The array of `receiveInto` is detached or empty. Chunks have memory of their own from here on.',
      ],
    )
  })

  test.serial(`a_read_whose_array_${what}_is_rejected_alone`, async (t) => {
    const errors: Error[] = []
    const { connection, accepted } = await connectionPair(t, {
      client: { socket: { error: (_, error) => void errors.push(error) } },
    })
    const { array, lose } = make()
    const reading = connection.read(array)
    lose()
    accepted.write('hello')
    await t.throwsAsync(reading, { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' })
    t.is(connection.state, 'open')
    const into = Buffer.alloc(16)
    t.is(await connection.read(into), 5)
    t.is(into.toString('utf8', 0, 5), 'hello')
    connection.write('still there')
    t.is(await accepted.read(into), 11)
    accepted.end()
    t.is(await connection.read(into), null)
    t.deepEqual(errors, [])
  })
}

test.serial('a_read_into_an_array_that_shrank_gets_what_fits', async (t) => {
  const { connection, accepted } = await connectionPair(t)
  const buffer = resizable(16)
  const reading = connection.read(new Uint8Array(buffer))
  buffer.resize(2)
  accepted.write('hello')
  t.is(await reading, 2)
  const into = Buffer.alloc(16)
  t.is(await connection.read(into), 3)
  t.is(into.toString('utf8', 0, 3), 'llo')
})
