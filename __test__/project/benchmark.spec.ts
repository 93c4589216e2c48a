import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { charts, draw } from '../../benchmark/chart.js'
import { Child } from '../../benchmark/child.js'
import { countedOf } from '../../benchmark/counted.js'
import type { Sample } from '../../benchmark/measure.js'
import { plan } from '../../benchmark/options.js'
import { netTable } from '../../benchmark/net-page.js'
import { measured, written } from '../../benchmark/page.js'
import { type Results, serialized, summary } from '../../benchmark/results.js'
import { WORKLOADS } from '../../benchmark/workloads.js'
import { reportOf } from '../../benchmark/wrk.js'
import { fileArguments } from '../support/runtime.js'

const SERVERS = fileURLToPath(new URL('../../benchmark/servers/', import.meta.url))
const MEBIBYTE = Buffer.alloc(2 ** 20, 'These bytes come back. ')

for (const name of [
  'wait-sync',
  'multiplexer',
  'handlers',
  'handlers --borrowed',
  'net',
  'net --own',
  'net --pipe',
  'net --own --pipe',
]) {
  test.serial(`a_contender_echoes_what_it_receives (${name})`, async (t) => {
    const { port } = await serving(t, name, 'echo')
    t.true((await exchange(port, MEBIBYTE, MEBIBYTE.length)).equals(MEBIBYTE))
  })

  test.serial(`a_contender_answers_the_end_with_the_number_of_bytes (${name})`, async (t) => {
    const { child, port } = await serving(t, name, 'sink')
    t.is(String(await exchange(port, MEBIBYTE)), String(MEBIBYTE.length))
    const { heapUsed } = await child.ask<{ heapUsed: number }>('usage')
    t.true(heapUsed > 0)
  })
}

for (const name of ['net', 'net --own']) {
  test.serial(`a_source_answers_the_end_with_the_wanted_number_of_bytes (${name})`, async (t) => {
    const { port } = await serving(t, name, 'source')
    const received = await exchange(port, Buffer.from('100000'))
    t.is(received.length, 100_000)
    t.true(received.subarray(0, 100).equals(received.subarray(65_521, 65_621)))
  })
}

test('ratios_compare_samples_of_the_same_round', (t) => {
  const bare = [sampleOf(1), sampleOf(10), sampleOf(2)]
  const own = [
    sampleOf(2, { user: 1, system: 3 }),
    sampleOf(11, { user: 0, system: 0 }),
    sampleOf(6, { user: 0, system: 0 }),
  ]
  const timed = summary(own, { bare })
  t.deepEqual(timed.ratio, { bare: { median: 2, low: 1.1, high: 3 } })
  t.deepEqual([timed.cpu.median, timed.user, timed.system], [6, 1.5, 4.5])
})

test('results_are_written_with_one_line_for_each_record', (t) => {
  const handlers = summary([sampleOf(2), sampleOf(1 / 3)], {})
  const results = { date: 'today', skipped: [], timed: { accept: { handlers, net: handlers } }, heap: {} }
  const text = serialized(results as unknown as Results)
  t.deepEqual((JSON.parse(text) as Results).timed['accept']!['net']!.samples, [2, 0.333333])
  t.is(text.trim().split('\n').length, 11)
})

test('system_calls_are_read_from_the_summary_of_strace', (t) => {
  const { perUnit, calls } = countedOf(
    `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.060000           6      1000           sendto
 39.00    0.039000           3      1500       500 recvfrom
  1.00    0.001000          10        10           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.100000           3      2510       500 total
`,
    1000,
  )
  t.is(perUnit, 2.51)
  t.deepEqual(calls, { recvfrom: 1.5, sendto: 1, epoll_wait: 0.01 })
})

test('the_output_of_wrk_is_read_and_a_failed_request_is_an_error', (t) => {
  const output = `Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%    1.25ms
     75%    1.30ms
     90%    1.54ms
     99%    2.00s
  38240 requests in 1.10s, 5.00MB read
Requests/sec:  34763.64
`
  const { operations, seconds, latency } = reportOf(output)
  t.deepEqual([operations, seconds, latency.p50, latency.p99], [38_240, 1.1, 1250, 2_000_000])
  t.throws(() => reportOf(`${output}  Non-2xx or 3xx responses: 3`), { message: /Non-2xx.*3/ })
  t.throws(() => reportOf('unable to connect'), { message: /unable to connect/ })
})

test('the_table_of_net_has_medians_and_quartiles_of_the_ratios_within_a_round', (t) => {
  const own = summary(
    [1, 2, 3, 4, 5].map((cpu) => sampleOf(cpu)),
    {},
  )
  const nets = summary(
    [2, 2, 2, 2, 2].map((cpu) => sampleOf(cpu)),
    {},
  )
  const results = {
    timed: { accept: { 'm-socket/net': own, net: nets } },
    calls: { accept: { net: { perUnit: 7, calls: {} } } },
    heap: {},
    memory: { net: { heap: 1000, collected: 10 }, 'm-socket/net': { heap: 500, collected: 9 } },
  }
  const [, ...rows] = netTable(results as unknown as Results)
  t.deepEqual(rows[0], ['connect and close', '1.00', '1.50 (0.75–2.25)', '–', '7.00 per connection'])
  t.deepEqual(
    rows.slice(1).map(([, , ratio]) => ratio),
    ['0.50 (500 of 1000)', '0.90 (9 of 10)'],
  )
})

test('only_the_named_contenders_and_the_bare_loop_are_run', (t) => {
  const present = ['bare', 'handlers', 'net'].map((name) => ({
    name,
    title: name,
    command: () => [],
    short: true,
    runtime: 'node' as const,
  }))
  const options = { full: false, quick: false, rounds: 1, out: '', list: false }
  const some = plan({ ...options, only: ['handlers', 'echo-64x1'] }, present)
  t.deepEqual(
    some.contenders.map(({ name }) => name),
    ['bare', 'handlers'],
  )
  t.deepEqual(
    some.workloads.map(({ name }) => name),
    ['echo-64x1'],
  )
  t.deepEqual(some.counted, [])
  const all = plan({ ...options, full: true, only: [] }, present)
  t.deepEqual(all.workloads, WORKLOADS)
  t.is(all.contenders.length, 3)
  t.throws(() => plan({ ...options, only: ['echo-65'] }, present), { instanceOf: RangeError })
})

test('a_chart_has_a_bar_of_the_right_length_for_each_contender', (t) => {
  const timed = { 'echo-64x50': { bare: summary([sampleOf(5)], {}), handlers: summary([sampleOf(10)], {}) } }
  const memory = { bare: { connections: 15_000, raw: 50, collected: 48 } }
  const made = charts({ timed, memory } as unknown as Results)
  t.deepEqual(Object.keys(made), ['cpu-per-echo', 'memory-per-connection'])
  const svg = draw(made['cpu-per-echo']!, { text: 'black', faint: 'gray', ours: 'blue', others: 'silver' })
  const widths = [...svg.matchAll(/<rect [^>]*width="(\d+)"[^>]*fill="(\w+)"/g)].map(
    ([, width, fill]) => [fill, Number(width)] as const,
  )
  const total = (color: string) => widths.filter(([fill]) => fill === color).reduce((sum, [, width]) => sum + width, 0)
  t.is(total('blue'), 2 * total('silver'))
  t.true(total('silver') > 0)
})

test('the_page_on_performance_has_the_figures_of_the_results', (t) => {
  const page = readFileSync(new URL('../../docs/performance.md', import.meta.url), 'utf8')
  const results = measured()
  t.is(written(page, results), page)
  const { 'echo-64x50': echo } = results.timed
  const other = {
    ...results,
    timed: { ...results.timed, 'echo-64x50': { ...echo!, handlers: summary([sampleOf(9)], { bare: [sampleOf(1)] }) } },
  }
  t.regex(written(page, other), /9\.00 \(9\.00–9\.00\)/)
})

test('the_figures_in_the_readme_agree_with_the_results', (t) => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replace(/\s+/g, ' ')
  const stated = /it costs ([\d.]+) to ([\d.]+) times.*?takes ([\d.]+) to ([\d.]+) times/
    .exec(readme)!
    .slice(1)
    .map(Number)
  const { timed, memory } = measured()
  const figures = (names: string[]): number[] =>
    ['echo-64x50', 'echo-64x1000'].flatMap((workload) =>
      names.map((name) => Number(timed[workload]![name]!.ratio.bare!.median.toFixed(2))),
    )
  const ours = figures(['wait-sync', 'multiplexer', 'handlers', 'borrowed'])
  const theirs = figures(['net'])
  t.true(Math.min(...ours) >= stated[0]! && Math.max(...ours) <= stated[1]!, `${ours}`)
  t.true(Math.min(...theirs) >= stated[2]! && Math.max(...theirs) <= stated[3]!, `${theirs}`)
  const [least, most, nets] = /weighs ([\d.]+) to ([\d.]+) KB, where `node:net`'s weighs ([\d.]+)\. /
    .exec(readme)!
    .slice(1)
  const weights = ['wait-sync', 'multiplexer', 'handlers', 'borrowed'].map((name) => memory[name]!.collected / 1000)
  t.deepEqual(
    [Math.min(...weights), Math.max(...weights), memory['net']!.collected / 1000].map((weight) => weight.toFixed(1)),
    [least, most, nets],
  )
})

function sampleOf(cpu: number, ticks = { user: 1, system: 1 }): Sample {
  return { cpu, ticks, perSecond: 1, latency: { p50: 1, p99: 1, max: 1 }, loadCpu: 1 }
}

async function serving(t: ExecutionContext, name: string, mode: string): Promise<{ child: Child; port: number }> {
  const [file, ...rest] = name.split(' ')
  const child = new Child([process.execPath, ...fileArguments(`${SERVERS}${file}.ts`, [mode, ...rest])])
  t.teardown(() => child.end())
  return { child, port: Number((await child.line()).slice('port '.length)) }
}

/**
 * Sends `data`, ends, and receives up to the end of the server. With `length`, ends only after that many bytes have
 * come back.
 */
async function exchange(port: number, data: Buffer, length = 0): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const chunks: Buffer[] = []
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    received += chunk.length
    if (length > 0 && received >= length) socket.end()
  })
  if (length > 0) socket.write(data)
  else socket.end(data)
  await once(socket, 'end')
  socket.destroy()
  return Buffer.concat(chunks)
}
