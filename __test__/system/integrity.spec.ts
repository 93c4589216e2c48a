import test from 'ava'
import fc from 'fast-check'
import { Listener, type Mode, Multiplexer, Socket } from 'm-socket'

import type { SocketOptions } from '../../lib/options/index.js'
import { Endpoint, type Plan, drive } from '../support/endpoint.js'
import { addressOf } from '../support/pair.js'
import { abstractName } from '../support/unix.js'
import { acceptNext } from '../support/waiting.js'

type Transport = 'tcp' | 'unix'

/**
 * How the two ends of a connection wait: each with its own multiplexer, both with one, or both with one in waitSync().
 */
type Waiting = 'separate' | 'shared' | 'synchronous'

interface Conversation {
  readonly client: Plan
  readonly server: Plan
  readonly waiting: Waiting
  /** The end that closes while its last bytes are queued, instead of shutting down. */
  readonly closing: 'client' | 'server' | 'neither'
  /** SO_SNDBUF of both; the default of the kernel when undefined. */
  readonly sendBufferSize: number | undefined
}

const MIB = 2 ** 20

/** Few large streams for each transport and mode: six properties of at least 2 * 1.25 * 5 MiB each. */
const LARGE = { bytes: { min: 1.25 * MIB, max: 2 * MIB }, pieces: { min: 4000, max: 200_000 }, runs: 5 }
/** Many small streams, which test the boundaries of buffers and the ends of streams. */
const SMALL = { bytes: { min: 0, max: 60_000 }, pieces: { min: 1, max: 3000 }, runs: 40 }

let total = 0
let refusals = 0

for (const transport of ['tcp', 'unix'] as const) {
  for (const mode of ['edge', 'level', 'oneshot'] as const) {
    for (const [name, size] of Object.entries({ small: SMALL, large: LARGE })) {
      test.serial(`received_bytes_are_the_sent_bytes (${transport}, ${mode}, ${name} streams)`, async (t) => {
        await fc.assert(
          fc.asyncProperty(conversations(mode, size), (conversation) => converse(conversation, transport)),
          { numRuns: size.runs, endOnFailure: true, includeErrorInReport: true },
        )
        t.pass()
      })
    }
  }
}

test.serial('at_least_64_MiB_were_sent_and_queues_were_full_at_times', (t) => {
  t.log(`${(total / MIB).toFixed(1)} MiB, ${refusals} sends that found the queue full`)
  t.true(total >= 64 * MIB)
  t.true(refusals > 50)
})

/** Both ends send and receive at the same time; then the checksums are compared. */
async function converse(
  { client, server, waiting, closing, sendBufferSize }: Conversation,
  transport: Transport,
): Promise<void> {
  const options = optionsFor(transport, sendBufferSize)
  using listener = Listener.bind({
    ...(transport === 'tcp' ? { host: '127.0.0.1' } : { path: abstractName() }),
    ...options,
  })
  const near = new Endpoint(Socket.connect({ ...addressOf(listener), ...options }), client, closing === 'client')
  // Sends while the socket is still connecting.
  near.send()
  const far = new Endpoint(await acceptNext(listener), server, closing === 'server')
  try {
    await driveBoth(near, far, waiting)
  } finally {
    near.socket.reset()
    far.socket.reset()
  }
  const [here, there] = [near.sums, far.sums]
  if (here.sent !== there.received)
    throw new Error(`the client sent ${here.sent}, the server received ${there.received}`)
  if (there.sent !== here.received)
    throw new Error(`the server sent ${there.sent}, the client received ${here.received}`)
  total += client.bytes + server.bytes
  refusals += near.refusals + far.refusals
}

async function driveBoth(near: Endpoint, far: Endpoint, waiting: Waiting): Promise<void> {
  if (waiting === 'separate') {
    await Promise.all([near, far].map((endpoint) => driveAlone(endpoint)))
  } else {
    using multiplexer = new Multiplexer()
    await drive(multiplexer, [near, far], waiting === 'synchronous')
  }
}

/** Queued bytes are sent although the multiplexer is closed right after the socket. */
async function driveAlone(endpoint: Endpoint): Promise<void> {
  using multiplexer = new Multiplexer()
  await drive(multiplexer, [endpoint], false)
}

/** With Nagle's algorithm, a send buffer smaller than a loopback segment waits for delayed acknowledgements. */
function optionsFor(transport: Transport, sendBufferSize: number | undefined): SocketOptions {
  return {
    ...(transport === 'tcp' ? { noDelay: true } : {}),
    ...(sendBufferSize === undefined ? {} : { sendBufferSize }),
  }
}

function conversations(mode: Mode, size: typeof LARGE): fc.Arbitrary<Conversation> {
  return fc.record({
    client: plans(mode, size),
    server: plans(mode, size),
    waiting: fc.constantFrom('separate', 'shared', 'synchronous'),
    closing: fc.constantFrom('client', 'server', 'neither'),
    sendBufferSize: fc.option(fc.integer({ min: 8192, max: 200_000 }), { nil: undefined }),
  })
}

function plans(mode: Mode, { bytes, pieces }: typeof LARGE): fc.Arbitrary<Plan> {
  return fc.record({
    bytes: fc.integer(bytes),
    pieces: fc.array(fc.integer(pieces), { minLength: 1, maxLength: 9 }),
    forms: fc.array(fc.constantFrom('bytes', 'string', 'array'), { minLength: 1, maxLength: 5 }),
    queueLimit: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 200, max: 200_000 })),
    buffers: fc.array(fc.integer(pieces), { minLength: 1, maxLength: 7 }),
    budget: fc.integer({ min: 1, max: 20 }),
    pauses: fc.array(fc.constantFrom(0, 0, 0, 0, 1, 3), { minLength: 1, maxLength: 40 }),
    mode: fc.constant(mode),
    flushes: fc.boolean(),
  })
}
