// Takes one sample: a number of operations of a workload against a running server.

import { LOAD } from './build.js'
import { Child } from './child.js'
import type { Contender } from './contenders.js'
import { onLoadCore, onServerCore } from './cores.js'
import { cpuOf } from './cpu.js'
import { redisSample } from './redis.js'
import type { Workload } from './workloads.js'

export interface Server {
  readonly child: Child
  readonly port: string
}

/** Latencies are microseconds. */
export interface Latency {
  readonly p50: number
  readonly p90?: number
  readonly p99: number
  readonly 'p99.9'?: number
  readonly max: number
}

interface Report {
  readonly operations: number
  readonly bytes: number
  readonly errors: number
  readonly firstError: string | null
  readonly seconds: number
  readonly latency: Latency
  readonly cpu: { readonly user: number; readonly system: number }
}

export interface Sample {
  /** Microseconds of server CPU per unit. */
  readonly cpu: number
  /** Its ticks of user and system time; they are added up over all samples. */
  readonly ticks: { readonly user: number; readonly system: number }
  readonly perSecond: number
  readonly latency: Latency
  /** Microseconds of CPU of the load generator per unit, unless it is redis-benchmark. */
  readonly loadCpu: number | undefined
  /** Microseconds of server CPU per unit under the control load. */
  readonly control?: number
}

export async function start(
  contender: Contender,
  mode: Workload['mode'],
  flags: readonly string[] = [],
): Promise<Server> {
  const child = new Child(onServerCore(contender.command(mode, flags)))
  const line = await child.line()
  return { child, port: line.slice('port '.length) }
}

/** Starts and warms up the load generator, then calls `around`, which runs the operations by calling `go`. */
export async function load<T>(
  server: Server,
  args: readonly string[],
  around: (go: () => Promise<Report>) => Promise<T>,
): Promise<T> {
  const generator = new Child(onLoadCore([LOAD, ...args, '--steps', '--port', server.port]))
  try {
    const line = await generator.line()
    if (line !== 'ready') throw new Error(`the warm-up failed: ${line}`)
    return await around(async () => {
      const report = await generator.ask<Report>('')
      if (report.errors > 0) throw new Error(`${report.errors} errors, the first: ${report.firstError}`)
      return report
    })
  } finally {
    await generator.end()
  }
}

export async function sample(server: Server, workload: Workload, amount: number, warmup: number): Promise<Sample> {
  const { control, ...loaded } = workload
  if (!control) return await plainSample(server, workload, amount, warmup)
  const { cpu } = await plainSample(server, { ...loaded, load: control.load }, amount, warmup)
  return { ...(await plainSample(server, loaded, amount, warmup)), control: cpu }
}

async function plainSample(
  server: Server,
  { mode, load: args, unit }: Workload,
  amount: number,
  warmup: number,
): Promise<Sample> {
  if (mode === 'redis') return await redisSample(server, args, amount)
  const size = unit === 'MiB' ? '--bytes' : '--operations'
  return await load(server, [...args, size, String(amount), '--warmup', String(warmup)], async (go) => {
    const before = cpuOf(server.child.pid)
    const report = await go()
    const after = cpuOf(server.child.pid)
    const units = unit === 'MiB' ? report.bytes / 2 ** 20 : report.operations
    return {
      cpu: (after.total - before.total) / 1000 / units,
      ticks: { user: after.user - before.user, system: after.system - before.system },
      perSecond: units / report.seconds,
      latency: report.latency,
      loadCpu: (report.cpu.user + report.cpu.system) / units,
    }
  })
}
