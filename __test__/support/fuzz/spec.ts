import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { fixtureArguments, run } from '../fixture.js'
import { seedOf } from '../seed.js'
import { temporaryDirectory } from '../unix.js'

/** Seconds of a run; FUZZ_SECONDS makes it longer. */
const SECONDS = 5

/**
 * Declares a test that runs a fuzzer of `fixtures/` in a process of its own, so that a crash is seen as one. Each run has
 * the same seed, unless FUZZ_SEED is another one, or `random`.
 */
export function fuzzTest(title: string, fixture: string): void {
  test.serial(title, async (t) => {
    const seconds = Number(process.env['FUZZ_SECONDS'] ?? SECONDS)
    t.timeout((seconds + 120) * 1000)
    const seed = seedOf(process.env['FUZZ_SEED'])
    t.log(`FUZZ_SEED=${seed}`)
    const last = join(temporaryDirectory(t), 'last')
    const args = fixtureArguments(fixture, '--seed', seed, '--seconds', seconds, '--last', last)
    // A call that never returns is ended from here.
    const { code, signal, stdout, stderr } = await run(t, process.execPath, args, {
      timeout: (seconds + 60) * 1000,
      killSignal: 'SIGKILL',
    })
    const sequence = signal === null ? '' : `\nduring ${readFileSync(last, 'utf8')}`
    t.is(signal, null, `${stdout}${stderr}${sequence}`)
    t.is(code, 0, `${stdout}${stderr}`)
    const { runs } = JSON.parse(stdout) as { runs: number }
    t.log(`${runs} sequences of calls`)
    t.true(runs > 0)
  })
}
