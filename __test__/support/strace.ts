import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './child.js'
import { sourceArguments } from './runtime.js'
import { temporaryDirectory } from './unix.js'

/**
 * The system calls of a wait: epoll_wait(3) is epoll_pwait(2) in musl, and in glibc where the kernel has no
 * epoll_wait(2).
 */
export const EPOLL_WAIT = 'epoll_wait,epoll_pwait'

/** The timeout of one of our waits, in milliseconds; libuv's waits have another batch length. */
export function timeoutOf(call: string): number[] {
  const [, timeout] = /\bepoll_p?wait(?:\(\d+, | resumed>).*, 1000, (-?\d+)(?:, NULL, 8)?\) +=/.exec(call) ?? []
  return timeout === undefined ? [] : [Number(timeout)]
}

/** Makes strace(1) accept unknown names, by a question mark: arm64 has no epoll_wait(2), pipe(2) or dup2(2). */
export function ignoreUnknown(names: string): string {
  return names.replaceAll(/\w+/g, '?$&')
}

/** The outcome of a traced program, and the lines of the trace. */
export interface TracedOutcome extends Outcome {
  readonly calls: readonly string[]
}

/**
 * Runs a module, given as source text, under strace(1). An injection makes a system call fail, for example
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
