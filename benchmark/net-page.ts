// The figures of m-socket/net against node:net in docs/performance.md, from results/net.json.

import type { Results } from './results.js'
import { median } from './statistics.js'
import { WORKLOADS } from './workloads.js'

/** The most that is asked for, as a multiple of node:net's. */
const GOALS: Record<string, number> = {
  'echo-64x50': 0.66,
  'echo-64x1000': 0.62,
  'bulk-1': 0.9,
  'bulk-8': 0.9,
  'fetch-1': 0.9,
  'fetch-8': 0.9,
  accept: 1,
  churn: 1,
  http: 0.85,
  https: 1.05,
  'tls-bulk': 1.05,
  'tls-fetch': 1.05,
}

/** One row for each workload that was measured, with a head. */
export function netTable({ timed, calls, heap, memory }: Results): string[][] {
  const head = ['', 'goal', 'CPU x node:net', 'system calls', "node:net's"]
  const rows = WORKLOADS.filter(({ name }) => name in GOALS && timed[name]?.['m-socket/net'] && timed[name]['net']).map(
    ({ name, title, unit }) => [
      title,
      GOALS[name]!.toFixed(2),
      ratios(timed[name]!['m-socket/net']!.samples, timed[name]!['net']!.samples),
      ...['m-socket/net', 'net'].map((contender) => {
        const counted = calls?.[name]?.[contender]
        return counted ? `${counted.perUnit.toFixed(2)} per ${unit}` : '–'
      }),
    ],
  )
  const bytes: [string, (contender: string) => number | undefined][] = [
    ['heap bytes per echo', (contender) => heap[contender]],
    ['heap bytes per idle connection', (contender) => memory[contender]?.heap],
    ['resident bytes per idle connection', (contender) => memory[contender]?.collected],
  ]
  for (const [title, of] of bytes) {
    const [own, nets] = [of('m-socket/net'), of('net')]
    if (own !== undefined && nets !== undefined)
      rows.push([title, '1.00', `${(own / nets).toFixed(2)} (${own.toFixed(0)} of ${nets.toFixed(0)})`, '', ''])
  }
  return [head, ...rows]
}

/** The median of the ratios within a round, and their quartiles. */
function ratios(own: readonly number[], others: readonly number[]): string {
  const pairs = own.slice(0, others.length).map((cpu, round) => cpu / others[round]!)
  pairs.sort((one, other) => one - other)
  const half = pairs.length >> 1
  const quartiles = [pairs.slice(0, half), pairs.slice(pairs.length - half)].map((part) =>
    part.length > 0 ? median(part).toFixed(2) : '–',
  )
  return `${median(pairs).toFixed(2)} (${quartiles.join('–')})`
}
