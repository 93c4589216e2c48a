// Measures what relay() costs a proxy, next to HAProxy, Go's io.Copy, node:net and a bare epoll loop.

import { mkdirSync, writeFileSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'
import { dirname, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { BARE, build } from './build.js'
import { Child } from './child.js'
import { onLoadCore } from './cores.js'
import { machine } from './machine.js'
import { type Server, sample } from './measure.js'
import { Progress } from './progress.js'
import { pairMemory, relayCalls } from './relay-counted.js'
import { RELAY_COUNTED, RELAY_LOADS, type RelayLoad } from './relay-loads.js'
import { type Proxy, proxies, stopped } from './relay-proxies.js'
import { RELAY_DEPTHS, type RelayResults, type RelaySample } from './relay-results.js'
import { print } from './relay-table.js'
import { serialized } from './results.js'

const HELP = `npm run bench:relay -- [options]

  --only NAMES  only these proxies, loads and counted figures, for example 64,bulk-1,memory,relay,haproxy,bare
  --rounds N    samples of each load and proxy (default: 3; 11 for the page)
  --out FILE    the JSON file (default: benchmark/results/partial.json with --only, else relay.json)

`

build()
const { present, absent } = proxies()
const { only, rounds, out } = options()
const running = chosen(present, ({ usual }) => usual)
const isNamed = [...RELAY_LOADS.map(({ name }) => name), ...RELAY_COUNTED].some((name) => only.includes(name))
const loads = isNamed ? RELAY_LOADS.filter(({ name }) => only.includes(name)) : RELAY_LOADS
const counted = isNamed ? RELAY_COUNTED.filter((name) => only.includes(name)) : RELAY_COUNTED

const results: RelayResults = {
  date: new Date().toISOString(),
  machine: machine(),
  proxies: Object.fromEntries(running.map(({ name, title }) => [name, title])),
  skipped: absent,
  failures: [],
  samples: {},
  memory: {},
  calls: {},
}

const stepsOf = { memory: 1, calls: loads.length }
const steps = loads.length * rounds + [...counted].reduce((sum: number, name) => sum + stepsOf[name], 0)
const progress = new Progress(steps * running.length)

for (const load of loads) await before(load.workload.mode, (backend) => time(load, backend), load.isLatency)
for (const proxy of running) await count(proxy)
progress.end()

print(results)
mkdirSync(dirname(out), { recursive: true })
writeFileSync(out, serialized(results, RELAY_DEPTHS))
console.log(`written: ${relative(process.cwd(), out)}`)
if (results.failures.length > 0) process.exitCode = 1

/** Runs `act` with a server behind the proxies. */
async function before(mode: string, act: (backend: string) => Promise<void>, isUrgent = false): Promise<void> {
  const priority = getPriority()
  if (isUrgent) prioritize(constants.priority.PRIORITY_HIGHEST)
  const child = new Child(onLoadCore([BARE, mode]))
  try {
    await act((await child.line()).slice('port '.length))
  } finally {
    await child.end()
    if (isUrgent) prioritize(priority)
  }
}

/**
 * The processes that are started next inherit the priority, so that a latency has less of what else the machine does.
 * It takes privileges. sched(7): with autogrouping a nice value counts within the session only, and the session has one.
 */
function prioritize(priority: number): void {
  try {
    setPriority(priority)
    writeFileSync('/proc/self/autogroup', String(priority))
  } catch {
    // EACCES, ENOENT: it stays as it is.
  }
}

/** All proxies run at the same time and are measured in turn: A B C, C B A. */
async function time(load: RelayLoad, backend: string): Promise<void> {
  const servers = new Map<Proxy, Server>()
  const taken = new Map<Proxy, RelaySample[]>()
  for (const proxy of running) {
    await attempt(load.name, proxy, 'warm-up', async () => {
      const server = await proxy.start(backend)
      try {
        await sampleOf(server, load)
        servers.set(proxy, server)
      } catch (error) {
        await stopped(server)
        throw error
      }
    })
  }
  for (let round = 1; round <= rounds; round++) {
    for (const proxy of round % 2 === 1 ? running : running.toReversed()) {
      progress.step(load.name, `${proxy.name}, round ${round} of ${rounds}`)
      const server = servers.get(proxy)
      if (!server) continue
      await attempt(load.name, proxy, `round ${round}`, async () => {
        taken.set(proxy, [...(taken.get(proxy) ?? []), await sampleOf(server, load)])
      })
    }
  }
  await Promise.all([...servers.values()].map(stopped))
  results.samples[load.name] = Object.fromEntries(
    [...taken].filter(([, samples]) => samples.length === rounds).map(([{ name }, samples]) => [name, samples]),
  )
}

async function sampleOf(server: Server, { workload, amount }: RelayLoad): Promise<RelaySample> {
  const { cpu, perSecond, latency } = await sample(server, workload, amount, workload.warmup / 10)
  return { cpu, perSecond, p50: latency.p50, p99: latency.p99 }
}

async function count(proxy: Proxy): Promise<void> {
  if (counted.includes('memory')) {
    progress.step('memory', proxy.name)
    await attempt('memory', proxy, '', () =>
      before('echo', async (backend) => {
        results.memory[proxy.name] = await pairMemory(proxy, backend)
      }),
    )
  }
  if (!counted.includes('calls')) return
  for (const load of loads) {
    progress.step('calls', `${proxy.name} ${load.name}`)
    await attempt('calls', proxy, load.name, () =>
      before(load.workload.mode, async (backend) => {
        ;(results.calls[load.name] ??= {})[proxy.name] = await relayCalls(proxy, backend, load)
      }),
    )
  }
}

/** A failure of one proxy is recorded, and the others continue. */
async function attempt(what: string, { name }: Proxy, detail: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    const [line] = (error as Error).message.replace(/^.*? has ended: /, '').split('\n')
    results.failures.push([what, name, detail, line].filter(Boolean).join(', '))
  }
}

function chosen(all: readonly Proxy[], usual: (proxy: Proxy) => boolean): Proxy[] {
  const picked = all.filter(({ name }) => only.includes(name))
  return picked.length > 0 ? picked : all.filter(usual)
}

function options(): { only: readonly string[]; rounds: number; out: string } {
  const string = { type: 'string' } as const
  const help = { type: 'boolean', short: 'h', default: false } as const
  const { values } = parseArgs({ options: { only: string, rounds: string, out: string, help } })
  const names = [...present, ...RELAY_LOADS].map(({ name }) => name).concat([...RELAY_COUNTED])
  const only = values.only?.split(',').filter(Boolean) ?? []
  const unknown = only.find((name) => !names.includes(name) && !absent.some((text) => text.startsWith(name)))
  const rounds = Number(values.rounds ?? 3)
  if (values.help || unknown || !(rounds >= 1)) {
    console.log(`${HELP}${names.join(' ')}`)
    if (unknown) console.log(`\nthere is no ${unknown}`)
    process.exit(values.help ? 0 : 2)
  }
  const file = fileURLToPath(new URL(`results/${only.length > 0 ? 'partial' : 'relay'}.json`, import.meta.url))
  return { only, rounds, out: values.out ?? file }
}
