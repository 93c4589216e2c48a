// Writes the figures of docs/performance.md and draws the charts, both from results/full.json and, where another file
// has more rounds, from that file. Each part of the page stands between two comments that name it.

import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { save, saveDrawing, write } from './chart.js'
import { netTable } from './net-page.js'
import { relayCharts, relayGoals, relayMachine, relayResults, relayTable } from './relay-page.js'
import type { Reference, Results } from './results.js'
import { drawOverview, panelsOf } from './overview.js'
import { WORKLOADS } from './workloads.js'

type Table = readonly (readonly string[])[]

/** The names of the contenders in the page. */
const NAMES: Record<string, string> = {
  bare: 'bare loop',
  'wait-sync': '`waitSync`',
  multiplexer: '`multiplexer`',
  handlers: '`handlers`',
  borrowed: '`borrowed`',
  'm-socket/net': '`m-socket/net`',
  net: 'node:net',
  bun: 'Bun',
  deno: 'Deno',
}

const COMPARED = ['wait-sync', 'multiplexer', 'handlers', 'borrowed', 'm-socket/net', 'net', 'bun']

/** The results of all files: of timed figures those with the most rounds, of counted figures the last ones. */
export function measured(): Results {
  return ['goals', 'idle', 'accept'].map(read).reduce(joined, read('full'))
}

function joined(one: Results, other: Results): Results {
  const timed = { ...one.timed }
  for (const [workload, contenders] of Object.entries(other.timed)) {
    const own = (timed[workload] = { ...timed[workload] })
    for (const [name, row] of Object.entries(contenders)) {
      if (row.samples.length > (own[name]?.samples.length ?? 0)) own[name] = row
    }
  }
  const { syscalls, heap, memory } = other
  return {
    ...one,
    timed,
    syscalls: { ...one.syscalls, ...syscalls },
    heap: { ...one.heap, ...heap },
    memory: { ...one.memory, ...memory },
  }
}

/** Returns the page with the figures of these results. */
export function written(page: string, results: Results): string {
  const relayed = relayResults()
  const parts = {
    machine: machine(results),
    counted: markdown(counted(results)),
    ratios: markdown(ratios(results)),
    nodes: markdown(nodes(read('full'))),
    goals: markdown(goals(results)),
    net: markdown(netTable(read('net'))),
    'relay machine': relayMachine(relayed),
    relay: markdown(relayTable(relayed)),
    'relay goals': markdown(relayGoals(relayed)),
  }
  return Object.entries(parts).reduce((text, [name, part]) => replaced(text, name, part), page)
}

/** Replaces the part with that name; throws if the page has none. */
function replaced(page: string, name: string, text: string): string {
  const begin = `<!-- figures: ${name} -->\n`
  const from = page.indexOf(begin)
  const to = page.indexOf('\n<!-- end -->', from)
  if (from < 0 || to < 0) throw new Error(`the page has no place for the figures named ${name}`)
  return page.slice(0, from + begin.length) + text + page.slice(to)
}

function markdown([head, ...rows]: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map(() => '---')), ...rows.map(line)].join('\n')
}

function machine({ date, machine: it, contenders, timed }: Results): string {
  const rounds = Object.values(timed).flatMap(({ bare }) => bare?.samples.length ?? [])
  const versions = ['handlers', 'bun', 'deno'].flatMap(
    (name) => /(?:Node|Bun|Deno) [\d.]+$/.exec(contenders[name] ?? '') ?? [],
  )
  return `Measured on ${date.slice(0, 10)} on a ${it.virtual ? 'virtual ' : ''}machine with ${it.cores} cores (${it.processor}, ${it.memory}, Linux ${it.kernel}), with ${versions.join(', ')}, in ${Math.min(...rounds)} to ${Math.max(...rounds)} rounds.`
}

function counted({ syscalls, heap, memory }: Results): Table {
  const head = [
    '',
    'system calls per echo, 1,000 connections',
    'heap bytes per echo',
    'resident bytes per idle connection (15,000)',
  ]
  const rows = Object.keys(NAMES)
    .filter((name) => name in syscalls)
    .map((name) => [
      NAMES[name]!,
      syscalls[name]!['1000']!.perUnit.toFixed(3),
      whole(heap[name]),
      whole(memory[name]?.collected),
    ])
  return [head, ...rows]
}

function ratios({ timed }: Results): Table {
  const rows = WORKLOADS.filter(({ name, mode }) => name in timed && mode !== 'redis').map(({ name, title }) => [
    title,
    ...COMPARED.map((contender) => spread(timed[name]![contender]?.ratio.bare)),
  ])
  return [['', ...COMPARED.map((name) => NAMES[name]!)], ...rows]
}

function nodes({ timed }: Results): Table {
  const columns = ['handlers', 'net'].flatMap((name) =>
    [20, 22, 24, 26].map((node) => ({ name, node, key: node === 20 ? name : `${name}@${node}` })),
  )
  const rows = ['echo-64x50', 'echo-64x1000', 'accept'].map((workload) => [
    WORKLOADS.find(({ name }) => name === workload)!.title,
    ...columns.map(({ key }) => spread(timed[workload]?.[key]?.ratio.bare)),
  ])
  return [['', ...columns.map(({ name, node }) => `${NAMES[name]}, Node ${node}`)], ...rows]
}

function goals(results: Results): Table {
  const { timed, syscalls, heap, memory } = results
  const x = (workload: string, name: string, to: Reference = 'bare'): string =>
    timed[workload]?.[name]?.ratio[to]?.median.toFixed(2) ?? '–'
  const both = (name: string, to?: Reference): string =>
    `${x('echo-64x50', name, to)} and ${x('echo-64x1000', name, to)}`
  const user = (name: string): number => timed['echo-64x50']![name]!.user
  const calls = Object.entries(syscalls)
    .filter(([name]) => COMPARED.slice(0, 5).includes(name))
    .map(([, counts]) => counts['1000']!.perUnit)
  const p50 = (name: string): string => `${timed['echo-64x1']?.[name]?.p50.toFixed(0) ?? '–'} µs`
  const idle = ['wait-sync', 'multiplexer', 'handlers'].map(
    (name) => timed['idle-64x50']?.[name]?.control?.median.toFixed(2) ?? '–',
  )
  const resident = (name: string): string => whole(memory[name]?.collected)
  return [
    ['measure', 'goal', 'reached'],
    ['CPU per echo, 64 B, 50 and 1,000 connections, `waitSync`', 'at most 1.05 x bare', both('wait-sync')],
    ['the same, asynchronous multiplexer', 'at most 1.08 x bare', both('multiplexer')],
    ['the same, handlers', 'at most 1.12 x bare', `${both('handlers')}; ${both('borrowed')} with \`receiveInto\``],
    ['', 'at most 0.9 x Bun', `${both('handlers', 'bun')} (the bare loop: ${both('bare', 'bun')})`],
    ['', 'at most 0.6 x node:net', `${both('handlers', 'net')} (the bare loop: ${both('bare', 'net')})`],
    [
      'CPU per echo, 16 KiB, 50 connections, handlers',
      'at most 1.15 x bare',
      `${x('echo-16Kx50', 'handlers')}; ${x('echo-16Kx50', 'borrowed')} with \`receiveInto\``,
    ],
    [
      '',
      'at most 0.5 x node:net',
      `${x('echo-16Kx50', 'handlers', 'net')}; ${x('echo-16Kx50', 'borrowed', 'net')} with \`receiveInto\` (the bare loop: ${x('echo-16Kx50', 'bare', 'net')})`,
    ],
    ['user time per echo, handlers', "at most one fifth of node:net's", (user('handlers') / user('net')).toFixed(2)],
    [
      '`m-socket/net`',
      'at most 0.66 and 0.62 x node:net per echo, 1 per connection',
      `${both('m-socket/net', 'net')} per echo, ${x('accept', 'm-socket/net', 'net')} per connection`,
    ],
    [
      'system calls per echo at 1,000 connections',
      'at most 2.1',
      `${Math.min(...calls).toFixed(3)} to ${Math.max(...calls).toFixed(3)}, all levels`,
    ],
    [
      'heap bytes per echo: model; handlers with a borrowed buffer',
      '0; at most 16',
      `${whole(heap['wait-sync'])} (\`waitSync\`), ${whole(heap.multiplexer)} (\`await\`); ${whole(heap.borrowed)}`,
    ],
    [
      'resident bytes per idle connection: model; handlers',
      'at most 600; 750',
      `${resident('wait-sync')} (\`waitSync\`), ${resident('multiplexer')}; ${resident('handlers')}, ${resident('borrowed')} with \`receiveInto\``,
    ],
    ['CPU per accepted connection, handlers', 'at most 1.25 x bare', x('accept', 'handlers')],
    ['', 'at most 0.5 x node:net', `${x('accept', 'handlers', 'net')} (the bare loop: ${x('accept', 'bare', 'net')})`],
    [
      'cost per event with 15,000 idle connections',
      'within 10% of that with none',
      `${idle.join(', ')} x (\`waitSync\`, \`multiplexer\`, \`handlers\`; the bare loop ${timed['idle-64x50']?.bare?.control?.median.toFixed(2) ?? '–'})`,
    ],
    [
      "one connection's round trip, with spinning",
      'below the bare loop that sleeps',
      `median ${p50('spinning')}; the bare loop ${p50('bare')}`,
    ],
  ]
}

function spread(ratio: { median: number; low: number; high: number } | undefined): string {
  return ratio ? `${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})` : '–'
}

function whole(value: number | undefined): string {
  return value === undefined ? '–' : String(Math.round(Math.max(0, value)))
}

function read(name: string): Results {
  return JSON.parse(readFileSync(new URL(`results/${name}.json`, import.meta.url), 'utf8')) as Results
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = fileURLToPath(new URL('../docs/performance.md', import.meta.url))
  const page = readFileSync(file, 'utf8')
  writeFileSync(file, written(page, measured()))
  write(measured())
  save(relayCharts(relayResults()))
  saveDrawing('overview', (theme) => drawOverview(panelsOf(measured(), relayResults()), theme))
}
