// examples/metrics.ts: what Prometheus scrapes.

import { once } from 'node:events'
import { connect } from 'node:net'

import type { ExecutionContext } from 'ava'

import { outcomeOf, start } from '../support/child.js'
import { type RunningExample, interrupt, startServer } from '../support/example.js'
import { testWith } from '../support/programs.js'
import { until } from '../support/waiting.js'

interface Family {
  readonly type: string
  readonly help: string
  readonly samples: Map<string, number>
}

/** Parses Prometheus' text format 0.0.4, strictly: each metric has HELP, TYPE and its samples, in one piece. */
function parse(t: ExecutionContext, text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  let current: [string, Family] | undefined
  t.true(text.endsWith('\n'))
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.+)$/.exec(line)
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge)$/.exec(line)
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$/.exec(line)
    if (help) {
      t.false(families.has(help[1]!), line)
      current = [help[1]!, { type: '', help: help[2]!, samples: new Map() }]
    } else if (type) {
      t.is(type[1], current?.[0], line)
      current = [current![0], { ...current![1], type: type[2]! }]
      families.set(...current)
    } else {
      t.truthy(sample, line)
      t.is(sample![1], current?.[0], line)
      const value = Number(sample![3])
      t.false(Number.isNaN(value), line)
      current![1].samples.set(sample![2] ?? '', value)
    }
  }
  for (const [name, { type, samples }] of families) {
    if (type === 'counter') t.true(name.endsWith('_total'), name)
    for (const value of samples.values()) t.true(value >= 0, name)
  }
  return families
}

async function startMetrics(t: ExecutionContext): Promise<RunningExample & { port: number; url: string }> {
  const example = await startServer(t, 'metrics', ['--host', '127.0.0.1', '--port', '0'], { METRICS_PORT: '0' })
  let text = example.line
  example.child.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await until(() => /Metrics at \S+\n/.test(text))
  return { ...example, url: /Metrics at (\S+)/.exec(text)![1]! }
}

async function curl(t: ExecutionContext, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await outcomeOf(start(t, 'curl', ['--silent', '--show-error', ...args]))
  t.is(code, 0, stderr)
  return stdout
}

testWith(['curl'], 'the_counters_of_a_server_can_be_scraped', async (t) => {
  const example = await startMetrics(t)
  const scrape = async () => parse(t, await curl(t, '--fail', example.url))
  const valueOf = async (name: string, labels = '') => (await scrape()).get(`m_socket_${name}`)?.samples.get(labels)
  t.deepEqual([...(await scrape()).keys()].toSorted(), [
    'm_socket_accept_pauses_total',
    'm_socket_connections_accepted_total',
    'm_socket_connections_closed_total',
    'm_socket_connections_open',
    'm_socket_connections_paused',
    'm_socket_connections_refused_total',
    'm_socket_queued_bytes',
    'm_socket_read_bytes_total',
    'm_socket_written_bytes_total',
  ])
  const clients = [connect(example.port, '127.0.0.1'), connect(example.port, '127.0.0.1')]
  for (const client of clients) {
    client.on('error', () => {}).write('hello')
    await once(client, 'data')
  }
  t.is(await valueOf('connections_accepted_total'), 2)
  t.is(await valueOf('connections_open'), 2)
  t.is(await valueOf('read_bytes_total'), 10)
  t.is(await valueOf('written_bytes_total'), 10)
  clients[0]!.end()
  clients[1]!.resetAndDestroy()
  let families = await scrape()
  while (families.get('m_socket_connections_open')!.samples.get('') !== 0) families = await scrape()
  const closed = families.get('m_socket_connections_closed_total')!.samples
  t.deepEqual([...closed].toSorted(), [
    ['{reason="ECONNRESET"}', 1],
    ['{reason="none"}', 1],
  ])
  t.is(families.get('m_socket_read_bytes_total')!.samples.get(''), 10)
  await interrupt(t, example)
})

testWith(['curl'], 'only_metrics_are_served_and_their_type_is_named', async (t) => {
  const example = await startMetrics(t)
  const format = '%{http_code} %{content_type}'
  t.is(
    await curl(t, '--output', '/dev/null', '--write-out', format, example.url),
    '200 text/plain; version=0.0.4; charset=utf-8',
  )
  t.is(await curl(t, '--write-out', '%{http_code}', example.url.replace('/metrics', '/')), '404')
  await interrupt(t, example)
})
