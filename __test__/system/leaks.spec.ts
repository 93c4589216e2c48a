import test from 'ava'

import { EMULATED, testUnless } from '../support/emulation.js'
import { fixtureArguments, run, runFixture } from '../support/fixture.js'
import { DESCRIPTORS_OF_A_MULTIPLEXER } from '../support/runtime.js'

interface Footprint {
  readonly descriptors: number
  readonly rss: number
  readonly heap: number
  readonly external: number
}

const ROUNDS = 8
const CONNECTIONS = 100_000

/**
 * What a connection may leave behind, in bytes: the smallest object is 12, a native record some hundred. What is forgotten is
 * forgotten in each round, so their median counts: a table of V8's that doubles, or memory that the allocator gives back late,
 * comes in one round or two. Measured on Node 20 to 26: up to 2 bytes of heap, and 40 of memory in all.
 */
const LEFT_OF_HEAP = 10
const LEFT_OF_MEMORY = 200

/** V8 sizes its young generation by the load, up to far more than what is measured here. */
const SMALL_YOUNG_GENERATION = '--max-semi-space-size=4'

testUnless(
  EMULATED ? 'the speed for 120000 connections' : undefined,
  '100000_connections_opened_and_closed_leave_no_descriptor_and_no_memory',
  async (t) => {
    t.timeout(600_000)
    const each = CONNECTIONS / ROUNDS
    const env = { ...process.env, DENO_V8_FLAGS: SMALL_YOUNG_GENERATION }
    const { code, stdout, stderr } = await run(
      t,
      process.execPath,
      [SMALL_YOUNG_GENERATION, ...fixtureArguments('churn.ts', 20_000, each, ROUNDS)],
      { env },
    )
    t.is(code, 0, stderr)
    const { footprints, seconds, echoed } = JSON.parse(stdout) as {
      footprints: Footprint[]
      seconds: number
      echoed: number
    }
    const growth = (what: keyof Footprint): number[] =>
      footprints.slice(1).map((after, round) => (after[what] - footprints[round]![what]) / each)
    const show = (what: keyof Footprint): string =>
      `${growth(what)
        .map((bytes) => bytes.toFixed(1))
        .join(' ')} of ${what}`
    t.log(
      `${seconds.toFixed(1)} s; bytes that a connection left, by rounds: ${show('rss')}; ${show('heap')}; ${show('external')}`,
    )
    t.is(echoed, 20_000 + CONNECTIONS)
    t.deepEqual(growth('descriptors'), Array(ROUNDS).fill(0))
    t.true(median(growth('heap')) < LEFT_OF_HEAP)
    t.true(median(growth('external')) < LEFT_OF_HEAP)
    t.true(median(growth('rss')) < LEFT_OF_MEMORY)
  },
  test.serial,
)

test.serial('what_is_forgotten_is_closed_once_and_warned_of_and_what_is_held_is_not', async (t) => {
  const each = 100
  const { code, stdout, stderr } = await runFixture(t, 'unclosed.ts', each)
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), {
    // A listener and three connections each, a multiplexer each, and the one that is not forgotten.
    opened: 7 * each + DESCRIPTORS_OF_A_MULTIPLEXER * (each + 1),
    // That one, and what it watches.
    forgotten: {
      left: each + DESCRIPTORS_OF_A_MULTIPLEXER,
      alive: each,
      warnings: {
        'SocketLeakWarning: A Socket': 5 * each,
        'SocketLeakWarning: A Listener': each,
        'SocketLeakWarning: A Multiplexer': each,
      },
    },
    released: { left: 0, alive: 0, warnings: { 'SocketLeakWarning: A Socket': each } },
    queue: { sent: 8_000_000, received: 8_000_000, left: 0, warnings: { 'SocketLeakWarning: A Socket': 1 } },
  })
})

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}
