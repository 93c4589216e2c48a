import test from 'ava'

import { EMULATED } from '../support/emulation.js'
import { runFixture } from '../support/fixture.js'
import { seedOf } from '../support/seed.js'

/** `npm run hammer` runs longer, or with the seed of a failure. */
const SECONDS = 6

test.serial('hundreds_of_connections_that_do_anything_at_random_keep_every_promise', async (t) => {
  t.timeout(300_000)
  const seed = Number(seedOf(process.env['HAMMER_SEED']))
  t.log(`seed ${seed}`)
  const seconds = EMULATED ? 2 * SECONDS : SECONDS
  const args = ['--seed', String(seed), '--seconds', String(seconds)]
  const { code, signal, stdout, stderr } = await runFixture(t, 'hammer.ts', ...args)
  t.is(signal, null, `${stdout}${stderr}`)
  t.is(code, 0, `${stdout}${stderr}`)
  const counts = JSON.parse(stdout.split('\n')[0]!) as { connections: number; acts: number; bytes: number }
  t.log(`${counts.connections} connections, ${counts.acts} acts, ${(counts.bytes / 2 ** 20).toFixed(1)} MiB`)
  t.true(counts.connections > 20 && counts.bytes > 0)
})
