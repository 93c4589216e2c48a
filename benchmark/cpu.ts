// Server CPU, read from outside, so that every contender is measured alike.

import { readFileSync, readdirSync } from 'node:fs'

export interface Cpu {
  /** Nanoseconds that all its threads have run. */
  readonly total: number
  /** Ticks of 10 ms: which part was user time is sampled by the kernel's timer tick. */
  readonly user: number
  readonly system: number
}

/** proc(5): `task/N/schedstat` counts nanoseconds; fields 14 and 15 of `stat` tell user from system time. */
export function cpuOf(pid: number): Cpu {
  let total = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  return { total, user: user!, system: system! }
}

/** Resident bytes. `status` and `statm` are behind by up to 64 pages a thread; the sum over the mappings is exact. */
export function residentOf(pid: number): number {
  return 1024 * Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
}
