import type { ExecutionContext } from 'ava'

/** The share of the time that may go into work of Node's own, such as collecting garbage. */
const LEISURE = 0.5

/** Fails when the process computes while it should sleep, as one that spins does: by its CPU time, not by the clock. */
export async function assertIdle<T>(t: ExecutionContext, act: () => T | Promise<T>): Promise<T> {
  const began = performance.now()
  const before = process.cpuUsage()
  const result = await act()
  const { user, system } = process.cpuUsage(before)
  const used = (user + system) / 1000
  const passed = performance.now() - began
  t.true(used < LEISURE * passed, `${used.toFixed(1)} ms of work in ${passed.toFixed(1)} ms`)
  return result
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Lets Node's loop go round. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
