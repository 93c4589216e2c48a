import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

import * as fc from 'fast-check'

/** What a sequence is run by: throws, or rejects, with what is wrong. */
type Check<T> = (sequence: T) => Promise<void>

/**
 * Runs a fuzzer in this process: `--seed N --seconds S`. Exits with 1 and prints the shortest failing sequence. Each
 * sequence is written to `--last FILE` before it is run, for where the process crashes.
 */
export async function fuzz<T>(sequences: fc.Arbitrary<T>, check: Check<T>, examples: readonly T[]): Promise<never> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, seconds: { type: 'string', default: '5' }, last: { type: 'string' } },
  })
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
  const directory = mkdtempSync(join(tmpdir(), 'm-socket-fuzz-'))
  // Names of Unix sockets are relative.
  process.chdir(directory)
  let runs = 0
  const property = fc.asyncProperty(sequences, async (sequence) => {
    runs++
    if (values.last) writeFileSync(values.last, JSON.stringify(sequence))
    await check(sequence)
  })
  const outcome = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: Number(values.seconds) * 1000,
    markInterruptAsFailure: false,
    examples: examples.map((example) => [example]),
    includeErrorInReport: true,
  } as fc.Parameters<[T]>)
  rmSync(directory, { recursive: true, force: true })
  const failed = outcome.failed && !(outcome.interrupted && outcome.counterexample === null)
  process.stdout.write(
    failed
      ? `${fc.defaultReportMessage(outcome)}\n${JSON.stringify(outcome.counterexample)}\n`
      : `${JSON.stringify({ seed, runs })}\n`,
  )
  process.exit(failed ? 1 : 0)
}
