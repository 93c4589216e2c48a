// The figures and charts of relay() in docs/performance.md, from results/relay.json.

import { readFileSync } from 'node:fs'

import type { Chart } from './chart.js'
import { type Quartiles, type RelayResults, betterHaproxy, figuresOf, loadsOf, ratioOf } from './relay-results.js'

/** The names of the proxies in the page. */
const NAMES: Record<string, string> = {
  relay: '`relay`',
  haproxy: 'HAProxy, splice-auto',
  'haproxy-copy': 'HAProxy, copying',
  go: 'Go, io.Copy',
  pipe: 'node:net, pipe()',
  bare: 'bare loop',
  'bare-splice': 'bare loop, splice(2)',
}

/** Of a load, the most that is asked for, as a multiple of HAProxy's and of node:net's. */
const GOALS: readonly { load: string; to: 'haproxy' | 'pipe'; most: number }[] = [
  { load: '64', to: 'haproxy', most: 1 },
  { load: '64', to: 'pipe', most: 0.7 },
  { load: '16K', to: 'haproxy', most: 0.9 },
  { load: 'bulk-1', to: 'haproxy', most: 0.9 },
  { load: 'bulk-8', to: 'haproxy', most: 0.9 },
  { load: 'p99', to: 'haproxy', most: 1 },
]

/** The most resident bytes of an idle pair that are asked for. */
const MOST_BYTES = 1500

export function relayResults(): RelayResults {
  return JSON.parse(readFileSync(new URL('results/relay.json', import.meta.url), 'utf8')) as RelayResults
}

/** Where, when and with what it was measured. */
export function relayMachine({ date, proxies, samples, skipped }: RelayResults): string {
  const versions = ['relay', 'haproxy', 'go'].flatMap(
    (name) => /(?:Node|HAProxy|Go) [\d.]+/.exec(proxies[name] ?? '') ?? [],
  )
  const rounds = Object.values(samples).flatMap((load) => Object.values(load).map(({ length }) => length))
  const missing = skipped.length > 0 ? ` Skipped: ${skipped.join('; ')}.` : ''
  return `Measured on ${date.slice(0, 10)} on the same machine, with ${versions.join(', ')}, in ${Math.max(...rounds)} rounds.${missing}`
}

/** The medians and quartiles of each load, a column for each proxy. */
export function relayTable(results: RelayResults): string[][] {
  const names = Object.keys(NAMES).filter((name) => name in results.proxies)
  const rows = loadsOf(results).map((load) => [
    `${load.title}: ${load.unit}`,
    ...names.map((name) => spread(figuresOf(results, load, name), load.isLatency ? 0 : 2)),
  ])
  const bytes = (key: 'fresh' | 'used'): string[] => names.map((name) => results.memory[name]?.[key].toFixed(0) ?? '–')
  rows.push(['resident bytes of an idle pair that has carried nothing', ...bytes('fresh')])
  rows.push(['the same after 5 x 16 KiB each way', ...bytes('used')])
  return [['', ...names.map((name) => NAMES[name]!)], ...rows]
}

/** What is asked for and what is reached: ratios within a round. */
export function relayGoals(results: RelayResults): string[][] {
  const loads = loadsOf(results)
  const rows = GOALS.flatMap(({ load: name, to, most }) => {
    const load = loads.find((each) => each.name === name)
    if (!load) return []
    const other = to === 'haproxy' ? betterHaproxy(results, load) : to
    const ratio = (proxy: string): string => spread(ratioOf(results, load, proxy, other))
    return [[`${load.title}, x ${NAMES[other]}`, most.toFixed(1), ratio('relay'), ratio('bare'), ratio('bare-splice')]]
  })
  const { relay, bare, 'bare-splice': splicing } = results.memory
  const pipes = relay ? ` and ${relay.pipes} pipes` : ''
  rows.push([
    'resident bytes of an idle pair',
    `${MOST_BYTES} and no pipe`,
    `${relay?.fresh.toFixed(0) ?? '–'}${pipes}`,
    ...[bare, splicing].map((memory) => memory?.fresh.toFixed(0) ?? '–'),
  ])
  return [['', 'at most', '`relay`', 'bare loop', 'bare loop, splice(2)'], ...rows]
}

/** By file name. */
export function relayCharts(results: RelayResults): Record<string, Chart> {
  const chart = (name: string, title: string, unit: string, factor: number): Chart => {
    const load = loadsOf(results).find((each) => each.name === name)!
    const bars = Object.entries(NAMES).flatMap(([proxy, label]) => {
      const value = figuresOf(results, load, proxy)?.median
      return value === undefined ? [] : [{ label: plain(label), ours: proxy === 'relay', value: value * factor }]
    })
    return { title, unit, bars }
  }
  return {
    'relay-64': chart('64', 'CPU of a proxy per round trip of 64 bytes, 50 connections', 'µs', 1),
    'relay-bulk': chart('bulk-8', 'CPU of a proxy per GiB, 8 connections one way', 'ms', 1000),
  }
}

function plain(label: string): string {
  return label.replaceAll('`', '').replace(/^relay$/, 'm-socket relay')
}

function spread(quartiles: Quartiles | undefined, digits = 2): string {
  if (!quartiles) return '–'
  const [median, low, high] = [quartiles.median, quartiles.low, quartiles.high].map((value) => value.toFixed(digits))
  return `${median} (${low}–${high})`
}
