// Takes samples with redis-benchmark(1).

import { spawnSync } from 'node:child_process'

import { outputOf } from './child.js'
import { onLoadCore } from './cores.js'
import { cpuOf } from './cpu.js'
import type { Sample, Server } from './measure.js'

export const hasRedisBenchmark = spawnSync('redis-benchmark', ['--version']).error === undefined

/** The columns of a row: test, requests per second, latencies in milliseconds (average, min, p50, p95, p99, max). */
export async function redisSample(server: Server, args: readonly string[], requests: number): Promise<Sample> {
  const command = ['redis-benchmark', '-h', '127.0.0.1', '-p', server.port, '-n', String(requests), '--csv', ...args]
  const before = cpuOf(server.child.pid)
  const rows = (await outputOf(onLoadCore(command))).trim().split('\n').slice(1)
  const after = cpuOf(server.child.pid)
  const figures = rows.map((row) =>
    row
      .split(',')
      .slice(1)
      .map((cell) => Number(cell.replaceAll('"', ''))),
  )
  if (rows.length === 0 || figures.flat().some(Number.isNaN))
    throw new Error(`unexpected output of redis-benchmark: ${rows.join(' ')}`)
  const mean = (column: number): number => figures.reduce((total, row) => total + row[column]!, 0) / figures.length
  const total = requests * rows.length
  return {
    cpu: (after.total - before.total) / 1000 / total,
    ticks: { user: after.user - before.user, system: after.system - before.system },
    perSecond: mean(0),
    latency: { p50: 1000 * mean(3), p99: 1000 * mean(5), max: 1000 * mean(6) },
    loadCpu: undefined,
  }
}
