// The CPU time of the server, read from /proc, so that all contenders are measured in the same way.

import { readFileSync, readdirSync } from 'node:fs'

export interface Cpu {
  /** The run time of all its threads, in nanoseconds. */
  readonly total: number
  /** User and system time in ticks of 10 ms, sampled by the timer tick of the kernel. */
  readonly user: number
  readonly system: number
}

/** proc(5): `task/N/schedstat` counts nanoseconds; fields 14 and 15 of `stat` are user and system time. */
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

/** Resident bytes. `status` and `statm` lag by up to 64 pages per thread; the sum over the mappings is exact. */
export function residentOf(pid: number): number {
  return 1024 * Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
}
