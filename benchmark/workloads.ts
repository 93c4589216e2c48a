// The workloads of the benchmark.

/**
 * What a server does: `echo`; `sink` counts the received bytes and answers the end with the count; `redis` is a small
 * Redis.
 */
export type Mode = 'echo' | 'sink' | 'redis'

export interface Workload {
  readonly name: string
  readonly title: string
  readonly mode: Mode
  /** The unit that a figure refers to. */
  readonly unit: 'echo' | 'connection' | 'MiB' | 'request'
  /** Arguments of the load generator, or of redis-benchmark. */
  readonly load: readonly string[]
  /**
   * Operations before the first sample of a server, so that its code is compiled; a tenth of them before the others.
   */
  readonly warmup: number
  /** Operations (or bytes) of one sample. */
  readonly amount: { readonly short: number; readonly full: number }
  /** Part of the short run. */
  readonly short: boolean
  /** The load to compare with, measured before each sample. */
  readonly control?: { readonly name: string; readonly load: readonly string[] }
  /** Only these contenders take part. */
  readonly only?: readonly string[]
}

const MODEL = ['bare', 'wait-sync', 'multiplexer', 'handlers']

export const WORKLOADS: readonly Workload[] = [
  echo('echo-64x50', 'echo 64 B, 50 connections', ['--size', '64', '--connections', '50'], 30_000, 150_000, true),
  echo('echo-64x1', 'echo 64 B, 1 connection', ['--size', '64', '--connections', '1'], 10_000, 40_000),
  echo('echo-64x1000', 'echo 64 B, 1,000 connections', ['--size', '64', '--connections', '1000'], 30_000, 150_000),
  echo('echo-16Kx50', 'echo 16 KiB, 50 connections', ['--size', '16384', '--connections', '50'], 10_000, 50_000, true),
  echo(
    'pipelined',
    'echo 64 B, 50 connections, 16 in flight each',
    ['--size', '64', '--connections', '50', '--pipeline', '16'],
    200_000,
    1_000_000,
  ),
  echo(
    'rate',
    'echo 64 B, 50 connections, 10,000 a second (open loop)',
    ['--size', '64', '--connections', '50', '--rate', '10000'],
    10_000,
    30_000,
  ),
  {
    ...echo(
      'idle-64x50',
      'echo 64 B, 50 connections, and 15,000 idle ones',
      ['--size', '64', '--connections', '50', '--idle', '15000'],
      30_000,
      150_000,
    ),
    control: { name: 'x none idle', load: ['echo', '--size', '64', '--connections', '50'] },
    only: MODEL,
  },
  bulk('bulk-1', 'bulk to the server, 1 connection', 1),
  bulk('bulk-8', 'bulk to the server, 8 connections', 8),
  {
    name: 'churn',
    title: 'connect, one request of 64 B, close',
    mode: 'echo',
    unit: 'connection',
    load: ['churn', '--size', '64'],
    warmup: 5000,
    amount: { short: 3000, full: 20_000 },
    short: false,
  },
  {
    name: 'accept',
    title: 'connect and close',
    mode: 'echo',
    unit: 'connection',
    load: ['accept'],
    warmup: 5000,
    amount: { short: 3000, full: 20_000 },
    short: true,
  },
  redis('redis', 'Redis GET and SET, 50 connections (redis-benchmark)', [], 50_000),
  redis('redis-16', 'Redis GET and SET, 50 connections, 16 in flight each (redis-benchmark)', ['-P', '16'], 200_000),
]

/** Figures that are counted instead of timed: one run is enough. */
export const COUNTED = ['syscalls', 'heap', 'memory'] as const
export type Counted = (typeof COUNTED)[number]

function echo(
  name: string,
  title: string,
  args: readonly string[],
  short: number,
  full: number,
  isShort = false,
): Workload {
  return {
    name,
    title,
    mode: 'echo',
    unit: 'echo',
    load: ['echo', ...args],
    warmup: short,
    amount: { short, full },
    short: isShort,
  }
}

function redis(name: string, title: string, args: readonly string[], amount: number): Workload {
  const load = ['-t', 'set,get', '-c', '50', ...args]
  return {
    name,
    title,
    mode: 'redis',
    unit: 'request',
    load,
    warmup: 0,
    amount: { short: amount, full: amount },
    short: false,
    only: ['handlers', 'net'],
  }
}

function bulk(name: string, title: string, connections: number): Workload {
  return {
    name,
    title,
    mode: 'sink',
    unit: 'MiB',
    load: ['bulk', '--connections', String(connections)],
    warmup: 0,
    amount: { short: 2 ** 28, full: 2 ** 30 },
    short: false,
  }
}
