import test from 'ava'

import { fixtureArguments, run, runFixture } from './support/fixture.js'

interface Footprint {
  readonly descriptors: number
  readonly rss: number
  readonly heap: number
  readonly external: number
}

/**
 * What 50,000 connections may leave behind, in bytes. Measured on Node 20 to 26: up to 0.2 MB of heap for twice as many, where
 * one object forgotten for each would be 2.5 MB at least; of memory in all, up to 13 MB. A table of V8's that doubles on the way
 * costs more than that, once, so the half that left less counts: what is forgotten is forgotten in both. A native record that is
 * forgotten keeps its descriptor, and these are counted one by one.
 */
const LEFT_OF_HEAP = 1_500_000
const LEFT_OF_MEMORY = 20_000_000

/** V8 sizes its young generation by the load, up to far more than what is measured here. */
const SMALL_YOUNG_GENERATION = '--max-semi-space-size=4'

test.serial('100000_connections_opened_and_closed_leave_no_descriptor_and_no_memory', async (t) => {
  const { code, stdout, stderr } = await run(t, process.execPath, [SMALL_YOUNG_GENERATION, ...fixtureArguments('churn.ts', 20_000, 100_000)])
  t.is(code, 0, stderr)
  const { footprints, seconds, echoed } = JSON.parse(stdout) as { footprints: [Footprint, Footprint, Footprint]; seconds: number; echoed: number }
  const [before, between, after] = footprints
  const growths = (what: keyof Footprint): [number, number] => [between[what] - before[what], after[what] - between[what]]
  const megabytes = (what: keyof Footprint): string => `${growths(what).map((bytes) => (bytes / 1e6).toFixed(2)).join(' and ')} MB of ${what}`
  t.log(`${seconds.toFixed(1)} s; the halves left ${megabytes('rss')}, ${megabytes('heap')}, ${megabytes('external')}`)
  t.is(echoed, 120_000)
  t.deepEqual([between.descriptors, after.descriptors], [before.descriptors, before.descriptors])
  t.true(Math.min(...growths('heap')) < LEFT_OF_HEAP)
  t.true(Math.min(...growths('external')) < LEFT_OF_HEAP)
  t.true(Math.min(...growths('rss')) < LEFT_OF_MEMORY)
})

test.serial('what_is_forgotten_is_closed_once_and_warned_of_and_what_is_held_is_not', async (t) => {
  const each = 100
  const { code, stdout, stderr } = await runFixture(t, 'dropped.ts', each)
  t.is(code, 0, stderr)
  t.deepEqual(JSON.parse(stdout), {
    // A listener, a multiplexer and three connections each, and the multiplexer that is not forgotten.
    opened: 8 * each + 1,
    // That one, and what it watches.
    forgotten: {
      left: each + 1,
      alive: each,
      warnings: { 'SocketLeakWarning: A Socket': 5 * each, 'SocketLeakWarning: A Listener': each, 'SocketLeakWarning: A Multiplexer': each },
    },
    released: { left: 0, alive: 0, warnings: { 'SocketLeakWarning: A Socket': each } },
    queue: { sent: 8_000_000, received: 8_000_000, left: 0, warnings: { 'SocketLeakWarning: A Socket': 1 } },
  })
})
