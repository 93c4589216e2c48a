import type { ExecutionContext } from 'ava'

import { runExample } from './example.js'

/** An address where no other test listens. */
export const HOST = '127.0.0.9'

/** Starts reconnect.ts; `output` and `delays()` have what it has printed so far. */
export function runReconnect(t: ExecutionContext, args: readonly string[]) {
  const { child, outcome } = runExample(t, 'reconnect', ['--host', HOST, ...args])
  const output = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const delays = () => [...output.stderr.matchAll(/again in (\d+) ms/g)].map(([, delay]) => Number(delay))
  return { child, stdin: child.stdin!, outcome, output, delays }
}

/**
 * Whether a delay fits the attempt of that index: it doubles from `shortest` up to `longest`, and its second half is
 * random.
 */
export function isDelay(delay: number, index: number, shortest: number, longest: number): boolean {
  const most = Math.min(longest, shortest * 2 ** index)
  return delay >= most / 2 && delay <= most
}
