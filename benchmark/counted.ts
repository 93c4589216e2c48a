// Figures that do not depend on timing: system calls, heap bytes, resident bytes.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'

import { LOAD } from './build.js'
import { Child } from './child.js'
import type { Contender } from './contenders.js'
import { onLoadCore } from './cores.js'
import { residentOf } from './cpu.js'
import { type Report, type Server, load, loaded, start, unitsOf } from './measure.js'
import { median } from './statistics.js'
import type { Workload } from './workloads.js'

export interface Syscalls {
  readonly perUnit: number
  /** The most frequent ones, per echo or other unit of the workload. */
  readonly calls: Readonly<Record<string, number>>
}

/** strace(1) counts the calls of all threads between the first and the last echo. */
export async function syscalls(contender: Contender, connections: number): Promise<Syscalls> {
  const operations = 5 * connections + 5000
  const args = [
    'echo',
    '--connections',
    String(connections),
    '--warmup',
    String(2 * operations),
    '--operations',
    String(operations),
  ]
  const server = await start(contender, 'echo')
  try {
    return await load(server, args, (go) => traced(server, go, () => operations))
  } finally {
    await server.child.end()
  }
}

/** System calls per unit of a workload, in the same way. */
export async function calls(contender: Contender, workload: Workload): Promise<Syscalls> {
  const { mode, unit, warmup, amount } = workload
  const server = await start(contender, mode)
  try {
    return await loaded(server, workload, unit === 'MiB' ? 2 ** 26 : amount.short, warmup, (go) =>
      traced(server, go, (report) => unitsOf(workload, report)),
    )
  } finally {
    await server.child.end()
  }
}

/** strace(1) counts the calls between the first and the last operation that `go` runs. */
export async function traced(
  { child }: Server,
  go: () => Promise<Report>,
  units: (report: Report) => number,
): Promise<Syscalls> {
  const folder = mkdtempSync(`${tmpdir()}/m-socket-bench-`)
  try {
    const strace = new Child(['strace', '-f', '-c', '-o', `${folder}/summary`, '-p', String(child.pid)])
    await strace.untilStderr('attached')
    const report = await go()
    strace.interrupt()
    await strace.end()
    return countedOf(readFileSync(`${folder}/summary`, 'utf8'), units(report))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The columns of a line: % of time, seconds, microseconds per call, calls, errors (may be empty), name. */
export function countedOf(summary: string, operations: number): Syscalls {
  const rows = [...summary.matchAll(/^ *[\d.]+ +[\d.]+ +\d+ +(\d+) (?: *\d+)? +(\w+)$/gm)].filter(
    ([, , name]) => name !== 'total',
  )
  const counts = rows.map(([, count, name]) => [name!, Number(count) / operations] as const).sort((a, b) => b[1] - a[1])
  return {
    perUnit: counts.reduce((sum, [, count]) => sum + count, 0),
    calls: Object.fromEntries(counts.filter(([, count]) => count >= 0.0005)),
  }
}

/** A young generation that none of these runs fills, so that nothing is collected during a run. */
const NO_COLLECTION = ['--min-semi-space-size=64', '--max-semi-space-size=64']

/**
 * The bytes allocated on the JavaScript heap per echo: the difference between runs of N and 3 N echoes, which leaves
 * out the fixed cost of a run; the median of several, because V8 recompiles a function now and then.
 */
export async function heapBytes(contender: Contender): Promise<number> {
  const operations = 15_000
  const server = await start(contender, 'echo', NO_COLLECTION)
  try {
    const differences: number[] = []
    for (let round = 0; round < 5; round++) {
      const first = await grown(server, operations, 30_000)
      const second = await grown(server, 3 * operations, 5000)
      differences.push((second - first) / (2 * operations))
    }
    return median(differences)
  } finally {
    await server.child.end()
  }
}

async function grown(server: Server, operations: number, warmup: number): Promise<number> {
  const args = ['echo', '--connections', '50', '--warmup', String(warmup), '--operations', String(operations)]
  return await load(server, args, async (go) => {
    const before = await server.child.ask<{ heapUsed: number }>('gc')
    await go()
    const after = await server.child.ask<{ heapUsed: number }>('usage')
    return after.heapUsed - before.heapUsed
  })
}

/** A round number of connections below a limit of 20,000 descriptors. */
const IDLE = 15_000

export interface Memory {
  readonly connections: number
  /** Resident bytes per idle connection, without a garbage collection. */
  readonly raw: number
  /** The same after a garbage collection. */
  readonly collected: number
  /** Bytes of the JavaScript heap per idle connection, after a garbage collection; not of a native contender. */
  readonly heap?: number
}

/** A young generation that reaches its limit before the first idle connection, so that its growth is not counted. */
const NO_GROWTH = ['--max-semi-space-size=1']

/** The one with the median of the resident bytes after a collection. */
export async function memory(contender: Contender, runs = 1): Promise<Memory> {
  const all: Memory[] = []
  for (let run = 0; run < runs; run++) all.push(await memoryOnce(contender))
  return all.sort((one, other) => one.collected - other.collected)[runs >> 1]!
}

async function memoryOnce(contender: Contender): Promise<Memory> {
  const server = await start(contender, 'echo', NO_GROWTH)
  try {
    await load(server, ['echo', '--connections', '50', '--operations', '5000'], (go) => go())
    const heapBefore = await collect(contender, server)
    const before = residentOf(server.child.pid)
    const holder = new Child(onLoadCore([LOAD, 'idle', '--connections', String(IDLE), '--port', server.port]))
    await holder.line()
    const raw = residentOf(server.child.pid)
    const heap = await collect(contender, server)
    const collected = residentOf(server.child.pid)
    const { errors, firstError } = await holder.ask<{ errors: number; firstError: string }>('')
    await holder.end()
    if (errors > 0) throw new Error(firstError)
    return {
      connections: IDLE,
      raw: (raw - before) / IDLE,
      collected: (collected - before) / IDLE,
      ...(heap === undefined ? {} : { heap: (heap - heapBefore!) / IDLE }),
    }
  } finally {
    await server.child.end()
  }
}

/** Collects garbage; returns the bytes of the JavaScript heap. */
async function collect({ runtime }: Contender, { child }: Server): Promise<number | undefined> {
  return runtime === 'native' ? undefined : (await child.ask<{ heapUsed: number }>('gc')).heapUsed
}
