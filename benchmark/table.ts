// Prints the results as text.

import type { Syscalls } from './counted.js'
import { netTable } from './net-page.js'
import type { Results, Timed } from './results.js'
import { REFERENCES } from './results.js'
import type { Spread } from './statistics.js'
import { WORKLOADS, type Workload } from './workloads.js'

export function print(results: Results): void {
  for (const workload of WORKLOADS) {
    const timed = results.timed[workload.name]
    if (timed) printTimed(workload, timed)
  }
  printSyscalls(results.syscalls)
  for (const [name, counts] of Object.entries(results.calls ?? {})) printCalls(name, counts)
  const heap = Object.entries(results.heap).map(([name, bytes]) => [name, bytes.toFixed(0)])
  show('bytes allocated on the JavaScript heap per echo (64 B, 50 connections)', ['', 'bytes'], heap)
  const memory = Object.entries(results.memory).map(([name, { raw, collected, heap }]) => [
    name,
    collected.toFixed(0),
    raw.toFixed(0),
    heap?.toFixed(0) ?? '-',
  ])
  show(
    `resident bytes per idle connection (${Object.values(results.memory)[0]?.connections} connections)`,
    ['', 'collected', 'uncollected', 'JavaScript heap'],
    memory,
  )
  const [head, ...rows] = netTable(results)
  show('m-socket/net: median and quartiles of the ratios within a round', head!, rows)
  for (const name of results.skipped) console.log(`skipped  ${name}`)
  for (const failure of results.failures) console.log(`FAILED   ${failure}`)
}

function printTimed({ title, unit, control }: Workload, timed: Record<string, Timed>): void {
  const references = REFERENCES.filter((name) => timed[name])
  const head = [
    '',
    'CPU us',
    'least',
    'user',
    'system',
    ...references.map((name) => `x ${name}`),
    ...(control ? [control.name] : []),
    `${unit === 'echo' ? 'echoes' : `${unit}s`.replace('MiBs', 'MiB')}/s`,
    'p50 us',
    'p99 us',
    'load us',
  ]
  const rows = Object.entries(timed).map(([name, row]) => [
    name,
    row.cpu.median.toFixed(2),
    row.cpu.low.toFixed(2),
    row.user.toFixed(2),
    row.system.toFixed(2),
    ...references.map((reference) => ratio(row.ratio[reference])),
    ...(control ? [ratio(row.control)] : []),
    row.perSecond.toFixed(0),
    row.p50.toFixed(0),
    row.p99.toFixed(0),
    row.loadCpu?.toFixed(2) ?? '-',
  ])
  show(`${title}: server CPU per ${unit}`, head, rows)
}

function printCalls(name: string, counts: Readonly<Record<string, Syscalls>>): void {
  const { title, unit } = WORKLOADS.find((workload) => workload.name === name)!
  const rows = Object.entries(counts).map(([contender, syscalls]) => [contender, ...described(syscalls)])
  show(`${title}: system calls per ${unit}`, ['', 'calls', 'which'], rows)
}

function described({ perUnit, calls }: Syscalls): string[] {
  const names = Object.entries(calls).map(([call, count]) => `${call} ${count.toFixed(3)}`)
  return [perUnit.toFixed(3), names.slice(0, 6).join(', ')]
}

function printSyscalls(syscalls: Results['syscalls']): void {
  const rows = Object.entries(syscalls).flatMap(([name, counts]) =>
    Object.entries(counts).map(([connections, syscalls]) => [name, connections, ...described(syscalls)]),
  )
  show('system calls per echo (64 B)', ['', 'connections', 'calls', 'which'], rows)
}

function ratio(spread: Spread | undefined): string {
  if (!spread) return '-'
  return `${spread.median.toFixed(2)} (${spread.low.toFixed(2)}-${spread.high.toFixed(2)})`
}

/** Prints a table; text is aligned to the left, figures to the right. */
function show(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  if (rows.length === 0) return
  const widths = head.map((text, at) => Math.max(text.length, ...rows.map((row) => row[at]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (at === 0 || head[at] === 'which' ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd()
  console.log(`\n${title}\n${line(head)}`)
  for (const row of rows) console.log(line(row))
  console.log()
}
