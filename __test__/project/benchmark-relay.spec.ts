import { once } from 'node:events'
import { connect } from 'node:net'
import process from 'node:process'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import test from 'ava'
import { listen } from 'm-socket'

import { Child } from '../../benchmark/child.js'
import { relayCharts, relayGoals, relayTable } from '../../benchmark/relay-page.js'
import { type RelayResults, betterHaproxy, loadsOf, quartilesOf, ratioOf } from '../../benchmark/relay-results.js'
import { fileArguments } from '../support/runtime.js'

const PROGRAM = fileURLToPath(new URL('../../benchmark/servers/relay.ts', import.meta.url))
const BYTES = Buffer.alloc(3_000_000, 'These bytes come back. ')

for (const kind of ['relay', 'connections', 'handlers', 'pipe', 'pipe --own']) {
  test.serial(`a_proxy_passes_on_all_bytes_and_both_ends (${kind})`, async (t) => {
    const server = listen({
      host: '127.0.0.1',
      allowHalfOpen: true,
      sendQueueLimit: BYTES.length,
      socket: {
        data: (connection, chunk) => void connection.write(chunk),
        end: (connection) => void connection.end(),
      },
    })
    t.teardown(() => server.stop(true))
    const [name, ...options] = kind.split(' ')
    const args = fileArguments(PROGRAM, [name!, String(server.port), ...options])
    const child = new Child([process.execPath, ...args])
    t.teardown(() => child.end())
    const port = Number((await child.line()).slice('port '.length))
    const client = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    client.end(BYTES)
    t.true((await buffer(client)).equals(BYTES))
    client.destroy()
    await once(client, 'close')
  })
}

test('quartiles_are_the_medians_of_the_halves', (t) => {
  t.deepEqual(quartilesOf([5, 1, 4, 2, 3]), { median: 3, low: 2, high: 4 })
  t.deepEqual(quartilesOf([1, 2, 3, 4]), { median: 2.5, low: 1.5, high: 3.5 })
  t.deepEqual(quartilesOf([7]), { median: 7, low: 7, high: 7 })
})

test('a_proxy_is_compared_with_the_better_mode_of_HAProxy_round_by_round', (t) => {
  const results = resultsOf({ relay: [1, 2, 3], haproxy: [4, 4, 4], 'haproxy-copy': [2, 2, 2] })
  const [load] = loadsOf(results)
  t.is(betterHaproxy(results, load!), 'haproxy-copy')
  t.deepEqual(ratioOf(results, load!, 'relay', 'haproxy-copy'), { median: 1, low: 0.75, high: 1.25 })
  t.is(ratioOf(results, load!, 'relay', 'go'), undefined)
})

test('the_tables_leave_out_a_proxy_that_was_skipped', (t) => {
  const results = resultsOf({ relay: [1, 1, 1], pipe: [2, 2, 2] })
  const [head, first] = relayTable(results)
  t.deepEqual(head, ['', '`relay`', 'node:net, pipe()'])
  t.deepEqual(first!.slice(1), ['1.00 (1.00–1.00)', '2.00 (2.00–2.00)'])
  const goals = relayGoals(results).map(([title, most, own]) => [title, most, own])
  t.deepEqual(goals.slice(1, 3), [
    ['64 B, 50 connections, x HAProxy, splice-auto', '1.0', '–'],
    ['64 B, 50 connections, x node:net, pipe()', '0.7', '0.50 (0.50–0.50)'],
  ])
})

test('a_chart_has_a_bar_for_each_proxy', (t) => {
  const results = resultsOf({ relay: [1, 1, 1], pipe: [2, 2, 2] })
  const [load] = Object.values(results.samples)
  const { 'relay-64': chart } = relayCharts({ ...results, samples: { '64': load!, 'bulk-8': load! } })
  t.deepEqual(
    chart!.bars.map(({ label, value, ours }) => [label, value, ours]),
    [
      ['m-socket relay', 1, true],
      ['node:net, pipe()', 2, false],
    ],
  )
})

function resultsOf(cpu: Record<string, number[]>): RelayResults {
  const samples = Object.fromEntries(
    Object.entries(cpu).map(([name, values]) => [
      name,
      values.map((value) => ({ cpu: value, p50: 1, p99: 1, perSecond: 1 })),
    ]),
  )
  const proxies = Object.fromEntries(Object.keys(cpu).map((name) => [name, name]))
  return {
    date: '',
    machine: {},
    proxies,
    skipped: [],
    failures: [],
    samples: { '64': samples },
    memory: {},
    calls: {},
  }
}
