// Prints the results of a run of the proxies as text.

import { type Quartiles, type RelayResults, betterHaproxy, figuresOf, loadsOf, ratioOf } from './relay-results.js'

export function print(results: RelayResults): void {
  const names = Object.keys(results.proxies)
  for (const load of loadsOf(results)) {
    const better = betterHaproxy(results, load)
    const rows = names.map((name) => [
      name,
      spread(figuresOf(results, load, name), load.isLatency ? 0 : 2),
      ...[better, 'pipe', 'bare'].map((to) => spread(ratioOf(results, load, name, to))),
    ])
    show(`${load.title}: ${load.unit}`, ['', load.unit, `x ${better}`, 'x pipe', 'x bare'], rows)
  }
  const memory = Object.entries(results.memory).map(([name, { fresh, used, pipes }]) => [
    name,
    fresh.toFixed(0),
    used.toFixed(0),
    String(pipes),
  ])
  if (memory.length > 0)
    show('resident bytes of an idle pair', ['', 'carried nothing', 'carried 5 x 16 KiB', 'pipes'], memory)
  for (const [load, counts] of Object.entries(results.calls)) {
    const rows = Object.entries(counts).map(([name, { perUnit, calls }]) => [
      name,
      perUnit.toFixed(2),
      Object.entries(calls)
        .slice(0, 6)
        .map(([call, count]) => `${call} ${count.toFixed(2)}`)
        .join(', '),
    ])
    show(`system calls, ${load}`, ['', 'calls', 'which'], rows)
  }
  for (const text of results.skipped) console.log(`skipped  ${text}`)
  for (const text of results.failures) console.log(`FAILED   ${text}`)
}

function spread(quartiles: Quartiles | undefined, digits = 2): string {
  if (!quartiles) return '-'
  const [median, low, high] = [quartiles.median, quartiles.low, quartiles.high].map((value) => value.toFixed(digits))
  return `${median} (${low}-${high})`
}

function show(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((text, at) => Math.max(text.length, ...rows.map((row) => row[at]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd()
  console.log(`\n${title}\n${[head, ...rows].map(line).join('\n')}`)
}
