// Measures what workers give: echo servers on the main thread, on one worker and on two, in turn.

import process from 'node:process'
import { parseArgs } from 'node:util'

import { LOAD, SERVERS, build } from './build.js'
import { Child } from './child.js'
import { cpuOf } from './cpu.js'
import type { Report } from './measure.js'
import { spreadOf } from './statistics.js'

const HELP = `npm run bench:workers -- [options]

  --rounds N       samples of each server and load (default: 7)
  --operations N   echoes of a sample (default: 150000)
`

const CONTENDERS = [
  ['main', 1],
  ['reuse-port', 1],
  ['reuse-port', 2],
  ['least-loaded', 1],
  ['least-loaded', 2],
] as const
const LOADS = {
  '64 B, 50 connections': ['--size', '64', '--connections', '50'],
  '64 B, 1,000 connections': ['--size', '64', '--connections', '1000'],
  '16 KiB, 50 connections': ['--size', '16384', '--connections', '50'],
} as const

interface Sample {
  readonly perSecond: number
  /** Microseconds of an echo. */
  readonly cpu: number
  readonly p99: number
  readonly balance: readonly number[]
}

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, operations: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help) {
  console.log(HELP)
  process.exit()
}
const rounds = Number(values.rounds ?? 7)
const operations = Number(values.operations ?? 150_000)

build()
for (const [title, load] of Object.entries(LOADS)) {
  const samples = CONTENDERS.map((): Sample[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...CONTENDERS.keys()]
    for (const index of round % 2 === 0 ? order : order.reverse()) samples[index]!.push(await sample(index, load))
  }
  report(title, samples)
}

async function sample(contender: number, load: readonly string[]): Promise<Sample> {
  const [kind, count] = CONTENDERS[contender]!
  const server = new Child([process.execPath, `${SERVERS}workers.js`, kind, String(count)])
  const port = (await server.line()).slice('port '.length)
  const size = ['--operations', String(operations), '--warmup', String(Math.round(operations / 3))]
  const generator = new Child([LOAD, 'echo', ...load, ...size, '--steps', '--port', port])
  try {
    if ((await generator.line()) !== 'ready') throw new Error('the warm-up failed')
    const before = cpuOf(server.pid).total
    const { errors, seconds, latency, operations: done } = await generator.ask<Report>('')
    if (errors > 0) throw new Error(`${errors} errors`)
    const cpu = (cpuOf(server.pid).total - before) / 1000 / done
    return { perSecond: done / seconds, cpu, p99: latency.p99, balance: await server.ask<number[]>('balance') }
  } finally {
    await generator.end()
    await server.end()
  }
}

/** Ratios are of samples of one round. */
function report(title: string, samples: Sample[][]): void {
  console.log(`\n${title}: ${rounds} rounds of ${operations} echoes`)
  const [base] = samples as [Sample[]]
  for (const [index, own] of samples.entries()) {
    const [kind, count] = CONTENDERS[index]!
    const { median, low, high } = spreadOf(own.map(({ perSecond }) => perSecond))
    const ratio = (of: (sample: Sample) => number): string => {
      const { median, low, high } = spreadOf(own.map((each, round) => of(each) / of(base[round]!)))
      return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
    }
    const balances = own.map(({ balance }) => balance.join(':')).join(' ')
    console.log(
      `${kind} ${count}: ${Math.round(median)} echoes/s (${Math.round(low)} to ${Math.round(high)}), ` +
        `ratio ${ratio((each) => each.perSecond)}; CPU per echo ${ratio((each) => each.cpu)}, ` +
        `${spreadOf(own.map(({ cpu }) => cpu)).median.toFixed(2)} us; p99 ${ratio((each) => each.p99)}; connections ${balances}`,
    )
  }
}
