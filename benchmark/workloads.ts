// The workloads of the benchmark.

/**
 * What a server does: `echo`; `sink` counts the received bytes and answers the end with the count; `source` answers the
 * end with as many bytes as the received number says; `redis` is a small Redis; `http` and `https` answer each request
 * with 14 bytes.
 */
export type Mode = 'echo' | 'sink' | 'source' | 'redis' | 'http' | 'https' | 'tls-sink' | 'tls-source'

export interface Workload {
  readonly name: string
  readonly title: string
  readonly mode: Mode
  /** The unit that a figure refers to. */
  readonly unit: 'echo' | 'connection' | 'MiB' | 'request'
  /** Arguments of the load generator, of redis-benchmark, or of wrk. */
  readonly load: readonly string[]
  /**
   * Operations before the first sample of a server, so that its code is compiled; a tenth of them before the others.
   * Of wrk: seconds, before the first sample only.
   */
  readonly warmup: number
  /** Operations (or bytes, or seconds of wrk) of one sample. */
  readonly amount: { readonly short: number; readonly full: number }
  /** Part of the short run. */
  readonly short: boolean
  /** The load to compare with, measured before each sample. */
  readonly control?: { readonly name: string; readonly load: readonly string[] }
  /** Only these contenders take part. */
  readonly only?: readonly string[]
}

/** The contenders of the workloads that compare us with Node alone. */
export const BOTH_NETS = ['net', 'm-socket/net']
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
  bulk('bulk-1', 'bulk to the server, 1 connection', 'sink', 1),
  bulk('bulk-8', 'bulk to the server, 8 connections', 'sink', 8),
  { ...bulk('fetch-1', 'bulk from the server, 1 connection', 'source', 1), only: BOTH_NETS },
  { ...bulk('fetch-8', 'bulk from the server, 8 connections', 'source', 8), only: BOTH_NETS },
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
  web('http', 'http: a request of 14 B, 50 connections (wrk)'),
  web('https', 'https: a request of 14 B, 50 connections (wrk)'),
  { ...bulk('tls-bulk', 'TLS: bulk to the server, 1 connection', 'tls-sink', 1), only: BOTH_NETS },
  { ...bulk('tls-fetch', 'TLS: bulk from the server, 1 connection', 'tls-source', 1), only: BOTH_NETS },
  redis('redis', 'Redis GET and SET, 50 connections (redis-benchmark)', [], 50_000),
  redis('redis-16', 'Redis GET and SET, 50 connections, 16 in flight each (redis-benchmark)', ['-P', '16'], 200_000),
]

/**
 * Figures that are counted instead of timed: one run is enough. `syscalls` are those of an echo, `calls` those of an
 * operation of each workload that takes part.
 */
export const COUNTED = ['syscalls', 'calls', 'heap', 'memory'] as const
export type Counted = (typeof COUNTED)[number]

/** What `npm run bench -- net` measures: m-socket/net, and Node's own servers on our listener. */
export const NET: readonly string[] = [
  ...'echo-64x50 echo-64x1000 bulk-1 bulk-8 fetch-1 fetch-8 accept churn http https tls-bulk tls-fetch'.split(' '),
  ...COUNTED.filter((name) => name !== 'syscalls'),
]

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

function web(mode: 'http' | 'https', title: string): Workload {
  return {
    name: mode,
    title,
    mode,
    unit: 'request',
    load: ['--connections', '50', '--threads', '1'],
    warmup: 3,
    amount: { short: 1, full: 2 },
    short: false,
    only: BOTH_NETS,
  }
}

function bulk(name: string, title: string, mode: Mode, connections: number): Workload {
  const load = mode.endsWith('sink') ? 'bulk' : 'fetch'
  return {
    name,
    title,
    mode,
    unit: 'MiB',
    load: mode.startsWith('tls') ? [load] : [load, '--connections', String(connections)],
    warmup: 0,
    amount: { short: 2 ** 28, full: 2 ** 30 },
    short: false,
  }
}
