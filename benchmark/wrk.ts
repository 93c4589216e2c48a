// Runs wrk(1), which loads an HTTP server.

import { spawnSync } from 'node:child_process'

import { outputOf } from './child.js'
import { onLoadCore } from './cores.js'
import type { Report } from './measure.js'

export const hasWrk = spawnSync('wrk', ['--version']).error === undefined

const MICROSECONDS: Record<string, number> = { us: 1, ms: 1000, s: 1_000_000 }

/** Loads a server for a number of seconds. */
export async function wrk(url: string, args: readonly string[], seconds: number): Promise<Report> {
  const command = ['wrk', ...args, '--latency', '--duration', `${Math.ceil(seconds)}s`, url]
  return reportOf(await outputOf(onLoadCore(command)))
}

/** Reads the output of wrk; throws if a request has failed. */
export function reportOf(output: string): Report {
  const failure = /Socket errors: .*|Non-2xx or 3xx responses: .*/.exec(output)
  if (failure) throw new Error(`wrk: ${failure[0]}`)
  const requests = /(\d+) requests in ([\d.]+)s/.exec(output)
  if (!requests) throw new Error(`unexpected output of wrk: ${output}`)
  const quantile = (percent: number): number => {
    const [, figure, unit] = new RegExp(`^ +${percent}% +([\\d.]+)(us|ms|s)$`, 'm').exec(output)!
    return Number(figure) * MICROSECONDS[unit!]!
  }
  return {
    operations: Number(requests[1]),
    bytes: 0,
    errors: 0,
    firstError: null,
    seconds: Number(requests[2]),
    latency: { p50: quantile(50), p99: quantile(99), max: quantile(99) },
    cpu: undefined,
  }
}
