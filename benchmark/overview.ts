// The picture at the top of the README: what an echo, a relayed round trip, relayed bulk and an idle connection cost,
// beside node:net, Bun, HAProxy and Go. It is narrow, so that its text can be read on a phone.

import type { Theme } from './chart.js'
import { type RelayResults, betterHaproxy, figuresOf, loadsOf } from './relay-results.js'
import type { Results } from './results.js'

interface Row {
  readonly label: string
  readonly value: number
  readonly ours: boolean
}

export interface Panel {
  readonly title: string
  readonly what: string
  readonly unit: string
  readonly digits: number
  readonly rows: readonly Row[]
}

const WIDTH = 480
const LEFT = 132
const RIGHT = 84
const ROW = 25
const HEAD = 52
const GAP = 18

/** All figures are medians, the shortest bar first. */
export function panelsOf({ timed, memory }: Results, relayed: RelayResults): Panel[] {
  const echo = timed['echo-64x50']!
  return [
    {
      title: 'Echo of 64 bytes',
      what: "the server's CPU time, 50 connections",
      unit: 'µs',
      digits: 1,
      rows: sorted({
        'm-socket': echo['handlers']!.cpu.median,
        Bun: echo['bun']!.cpu.median,
        'node:net': echo['net']!.cpu.median,
      }),
    },
    {
      title: 'Proxy, 64 bytes there and back',
      what: "the proxy's CPU time, 50 connections",
      unit: 'µs',
      digits: 1,
      rows: sorted(proxies(relayed, '64', 1)),
    },
    {
      title: 'Proxy, 1 GiB',
      what: "the proxy's CPU time, 8 connections one way",
      unit: 'ms',
      digits: 0,
      rows: sorted(proxies(relayed, 'bulk-8', 1000)),
    },
    {
      title: 'Idle connection of a server',
      what: 'resident memory, 15,000 connections',
      unit: 'B',
      digits: 0,
      rows: sorted({
        'm-socket': memory['handlers']!.collected,
        Bun: memory['bun']!.collected,
        'node:net': memory['net']!.collected,
      }),
    },
  ]
}

/** Of HAProxy the way that costs less: by splice(2), or copying. */
function proxies(results: RelayResults, name: string, factor: number): Record<string, number> {
  const load = loadsOf(results).find((each) => each.name === name)!
  const names = { 'm-socket': 'relay', HAProxy: betterHaproxy(results, load), 'Go, io.Copy': 'go', 'node:net': 'pipe' }
  return Object.fromEntries(
    Object.entries(names).map(([label, proxy]) => [label, figuresOf(results, load, proxy)!.median * factor]),
  )
}

function sorted(values: Record<string, number>): Row[] {
  return Object.entries(values)
    .map(([label, value]) => ({ label, value, ours: label === 'm-socket' }))
    .toSorted((one, other) => one.value - other.value)
}

export function drawOverview(panels: readonly Panel[], theme: Theme): string {
  const parts: string[] = []
  let top = 0
  for (const panel of panels) {
    parts.push(drawPanel(panel, top, theme))
    top += HEAD + panel.rows.length * ROW + GAP
  }
  const height = top - GAP + 4
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="15">`,
    `<title>${panels.map(titleOf).join(' ')}</title>`,
    ...parts,
    '</svg>\n',
  ].join('\n')
}

/** What a panel says, for readers who do not see it. */
export function titleOf({ title, what, rows, ...panel }: Panel): string {
  return `${title}, ${what}: ${rows.map(({ label, value }) => `${label} ${figure(value, panel)}`).join('; ')}.`
}

function drawPanel({ title, what, rows, ...panel }: Panel, top: number, { text, faint, ours, others }: Theme): string {
  const largest = Math.max(...rows.map(({ value }) => value))
  const bars = rows.map(({ label, value, ours: isOurs }, at) => {
    const y = top + HEAD + at * ROW
    const width = Math.round((value / largest) * (WIDTH - LEFT - RIGHT))
    const weight = isOurs ? ' font-weight="bold"' : ''
    return [
      `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end" fill="${text}"${weight}>${label}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${width}" height="19" rx="2" fill="${isOurs ? ours : others}"/>`,
      `<text x="${LEFT + width + 8}" y="${y + 15}" fill="${isOurs ? text : faint}"${weight}>${figure(value, panel)}</text>`,
    ].join('\n')
  })
  return [
    `<text x="4" y="${top + 20}" font-size="17" font-weight="bold" fill="${text}">${title}</text>`,
    `<text x="4" y="${top + 40}" font-size="14" fill="${faint}">${what}: shorter is better</text>`,
    ...bars,
  ].join('\n')
}

function figure(value: number, { unit, digits }: Pick<Panel, 'unit' | 'digits'>): string {
  const shown = digits === 0 ? Math.round(value).toLocaleString('en') : value.toFixed(digits)
  return `${shown} ${unit}`
}
