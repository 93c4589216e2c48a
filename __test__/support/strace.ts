import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './child.js'
import { sourceArguments } from './runtime.js'
import { temporaryDirectory } from './unix.js'

/** How a multiplexer waits: musl's epoll_wait(3) is the one with a signal mask, as that of glibc is where the kernel has no other. */
export const EPOLL_WAIT = 'epoll_wait,epoll_pwait'

/** The timeout of a wait of ours, in milliseconds; none of other calls, and none of libuv's, whose batches have another length. */
export function timeoutOf(call: string): number[] {
  const [, timeout] = /\bepoll_p?wait(?:\(\d+, | resumed>).*, 1000, (-?\d+)(?:, NULL, 8)?\) +=/.exec(call) ?? []
  return timeout === undefined ? [] : [Number(timeout)]
}

/** strace(1): after a question mark a name may be none on this machine; arm64 has no epoll_wait(2), pipe(2) or dup2(2). */
export function ignoreUnknown(names: string): string {
  return names.replaceAll(/\w+/g, '?$&')
}

/** How a traced program ended, and the lines of the trace. */
export interface TracedOutcome extends Outcome {
  readonly calls: readonly string[]
}

/**
 * Runs a module, given as its source, under strace(1), whose fault injection makes system calls fail that hardly ever do:
 * `accept4:error=ECONNABORTED:when=1+2`. Only the main thread is traced.
 */
export async function runUnderStrace(
  t: ExecutionContext,
  source: string,
  trace: string,
  ...injections: readonly string[]
): Promise<TracedOutcome> {
  const log = join(temporaryDirectory(t), 'calls')
  const faults = injections.flatMap((injection) => ['-e', `inject=${injection}`])
  const program = [process.execPath, ...sourceArguments(source, ['--expose-gc'])]
  const child = start(
    t,
    'strace',
    ['-qq', '-o', log, '-e', `trace=${ignoreUnknown(trace)}`, '-e', 'signal=none', ...faults, ...program],
    {
      cwd: new URL('../..', import.meta.url),
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const outcome = await outcomeOf(child)
  return { ...outcome, calls: readFileSync(log, 'utf8').trimEnd().split('\n') }
}
