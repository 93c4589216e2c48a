// The loads of the proxies.

import type { Workload } from './workloads.js'

export interface RelayLoad {
  readonly name: string
  readonly title: string
  /** The unit of `value`. */
  readonly unit: string
  readonly workload: Workload
  /** Operations of a sample, or bytes; a tenth of it under strace(1). */
  readonly amount: number
  /** Microseconds of CPU per operation or MiB as the figure that is shown. */
  readonly scale: number
  /** The figure is the p99 latency, in microseconds. */
  readonly isLatency?: boolean
}

const PACED = ['--connections', '5000', '--rate', '10000'] as const

export const RELAY_LOADS: readonly RelayLoad[] = [
  echo('64', '64 B, 50 connections', ['--size', '64', '--connections', '50'], 60_000),
  echo('16K', '16 KiB, 50 connections', ['--size', '16384', '--connections', '50'], 30_000),
  bulk('bulk-1', 'bulk one way, 1 connection', 1),
  bulk('bulk-8', 'bulk one way, 8 connections', 8),
  {
    // Ten seconds and ten before them: one collection of what 5,000 connections have left must not be the figure.
    ...echo('p99', '64 B, 5,000 connections, 10,000 a second', PACED, 100_000, 100_000),
    unit: 'µs, the 99th percentile',
    isLatency: true,
  },
]

/** Counted once: resident bytes and pipes of an idle pair, and system calls. */
export const RELAY_COUNTED = ['memory', 'calls'] as const

function echo(name: string, title: string, args: readonly string[], amount: number, warmup = 30_000): RelayLoad {
  const workload = workloadOf('echo', 'echo', ['echo', ...args], warmup)
  return { name, title, unit: 'µs of CPU per round trip', workload, amount, scale: 1 }
}

/** 1,024 MiB, in seconds. */
function bulk(name: string, title: string, connections: number): RelayLoad {
  const workload = workloadOf('sink', 'MiB', ['bulk', '--connections', String(connections)], 0)
  return { name, title, unit: 's of CPU per GiB', workload, amount: 2 ** 30, scale: 1024 / 1e6 }
}

function workloadOf(mode: Workload['mode'], unit: Workload['unit'], load: readonly string[], warmup: number): Workload {
  return { name: '', title: '', mode, unit, load, warmup, amount: { short: 0, full: 0 }, short: false }
}
