import type { ExecutionContext } from 'ava'

/** The share of CPU time that Node's own work may take, such as garbage collection. */
const MAX_CPU_SHARE = 0.5

/** Asserts that the process sleeps during `act` and does not spin, by its CPU time. */
export async function assertIdle<T>(t: ExecutionContext, act: () => T | Promise<T>): Promise<T> {
  const began = performance.now()
  const before = process.cpuUsage()
  const result = await act()
  const { user, system } = process.cpuUsage(before)
  const used = (user + system) / 1000
  const passed = performance.now() - began
  t.true(used < MAX_CPU_SHARE * passed, `${used.toFixed(1)} ms of CPU time in ${passed.toFixed(1)} ms`)
  return result
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Waits for the next turn of Node's loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
