import type { ExecutionContext } from 'ava'

import { runExample } from './example.js'

/** An address where no other test listens. */
export const HOST = '127.0.0.9'

/** What a running reconnect.ts has said so far, and its output as it comes. */
export function follow(t: ExecutionContext, args: readonly string[]) {
  const { child, outcome } = runExample(t, 'reconnect', ['--host', HOST, ...args])
  const said = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
  const delays = () => [...said.stderr.matchAll(/again in (\d+) ms/g)].map(([, delay]) => Number(delay))
  return { child, stdin: child.stdin!, outcome, said, delays }
}

/** The delay before each attempt but the first, where `shortest` and `longest` bound them; the last half of each is random. */
export function isDelay(delay: number, index: number, shortest: number, longest: number): boolean {
  const most = Math.min(longest, shortest * 2 ** index)
  return delay >= most / 2 && delay <= most
}
