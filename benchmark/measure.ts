// Takes one sample: a number of operations of a workload against a running server.

import process from 'node:process'

import { LOAD, TLS_LOAD } from './build.js'
import { Child } from './child.js'
import type { Contender } from './contenders.js'
import { onLoadCore, onServerCore } from './cores.js'
import { cpuOf } from './cpu.js'
import { redisSample } from './redis.js'
import type { Workload } from './workloads.js'
import { wrk } from './wrk.js'

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

export interface Report {
  readonly operations: number
  readonly bytes: number
  readonly errors: number
  readonly firstError: string | null
  readonly seconds: number
  readonly latency: Latency
  /** Of the load generator; wrk does not say it. */
  readonly cpu: { readonly user: number; readonly system: number } | undefined
}

export interface Sample {
  /** Microseconds of server CPU per unit. */
  readonly cpu: number
  /** Its ticks of user and system time; they are added up over all samples. */
  readonly ticks: { readonly user: number; readonly system: number }
  readonly perSecond: number
  readonly latency: Latency
  /** Microseconds of CPU of the load generator per unit, unless it is redis-benchmark or wrk. */
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
  program: readonly string[] = [LOAD],
): Promise<T> {
  const generator = new Child(onLoadCore([...program, ...args, '--steps', '--port', server.port]))
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

/** Loads the server with `amount` of the workload, which `around` runs by calling `go`. */
export async function loaded<T>(
  server: Server,
  { mode, load: args, unit }: Workload,
  amount: number,
  warmup: number,
  around: (go: () => Promise<Report>) => Promise<T>,
): Promise<T> {
  if (mode === 'http' || mode === 'https') {
    const url = `${mode}://127.0.0.1:${server.port}/`
    if (warmup >= 1) await wrk(url, args, warmup)
    return await around(() => wrk(url, args, amount))
  }
  const size = unit === 'MiB' ? '--bytes' : '--operations'
  const program = mode.startsWith('tls') ? [process.execPath, TLS_LOAD] : [LOAD]
  return await load(server, [...args, size, String(amount), '--warmup', String(warmup)], around, program)
}

export function unitsOf({ unit }: Workload, { bytes, operations }: Report): number {
  return unit === 'MiB' ? bytes / 2 ** 20 : operations
}

async function plainSample(server: Server, workload: Workload, amount: number, warmup: number): Promise<Sample> {
  if (workload.mode === 'redis') return await redisSample(server, workload.load, amount)
  return await loaded(server, workload, amount, warmup, async (go) => {
    const before = cpuOf(server.child.pid)
    const report = await go()
    const after = cpuOf(server.child.pid)
    const units = unitsOf(workload, report)
    return {
      cpu: (after.total - before.total) / 1000 / units,
      ticks: { user: after.user - before.user, system: after.system - before.system },
      perSecond: units / report.seconds,
      latency: report.latency,
      loadCpu: report.cpu && (report.cpu.user + report.cpu.system) / units,
    }
  })
}
