// What comes out of a relay is what went in, whatever the pieces, pauses and buffers are. `npm run relay:integrity` does
// the same with many gigabytes.

import test from 'ava'

import { type Ending, converse } from '../support/relay-integrity.js'
import { seedOf } from '../support/seed.js'

const MIB = 2 ** 20
const AT_ONCE = 6

/** Conversations of each ending, the most bytes of a direction, and how often. */
const SERIES: Record<string, { ending: Ending; most: number; count: number }> = {
  'many small streams': { ending: 'ends', most: 60_000, count: 60 },
  'some large streams': { ending: 'ends', most: 48 * MIB, count: 36 },
  resets: { ending: 'reset', most: 4 * MIB, count: 60 },
  aborts: { ending: 'abort', most: 4 * MIB, count: 30 },
  closes: { ending: 'close', most: 4 * MIB, count: 30 },
}

const FIRST = Number(seedOf(process.env['RELAY_SEED']))

for (const [name, { ending, most, count }] of Object.entries(SERIES)) {
  test.serial(`what_comes_out_is_what_went_in (${name})`, async (t) => {
    let bytes = 0
    for (let done = 0; done < count; done += AT_ONCE) {
      const seeds = Array.from({ length: Math.min(AT_ONCE, count - done) }, (_, index) => FIRST + 100 * (done + index))
      const outcomes = await Promise.all(
        seeds.map((seed) =>
          converse(seed, most, ending).catch((error: Error) => {
            throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
          }),
        ),
      )
      for (const outcome of outcomes) bytes += outcome.bytes
    }
    t.log(`${(bytes / MIB).toFixed(1)} MiB`)
    t.true(bytes > 0)
  })
}
