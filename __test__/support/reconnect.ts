import type { ExecutionContext } from 'ava'

import { runExample } from './example.js'

/** An address where no other test listens. */
export const HOST = '127.0.0.9'

/** What a running reconnect.ts has said so far, and its output as it comes. */
export function runReconnect(t: ExecutionContext, args: readonly string[]) {
  const { child, outcome } = runExample(t, 'reconnect', ['--host', HOST, ...args])
  const output = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  const delays = () => [...output.stderr.matchAll(/again in (\d+) ms/g)].map(([, delay]) => Number(delay))
  return { child, stdin: child.stdin!, outcome, output, delays }
}

/** The delay before each attempt but the first, where `shortest` and `longest` bound them; the last half of each is random. */
export function isDelay(delay: number, index: number, shortest: number, longest: number): boolean {
  const most = Math.min(longest, shortest * 2 ** index)
  return delay >= most / 2 && delay <= most
}
