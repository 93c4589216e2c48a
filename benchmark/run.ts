// Measures the cost of a server with m-socket, with a bare epoll loop, and with the alternatives to m-socket.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import process from 'node:process'

import { build } from './build.js'
import { write } from './chart.js'
import { type Contender, contenders } from './contenders.js'
import { type Syscalls, calls, heapBytes, memory, syscalls } from './counted.js'
import { machine } from './machine.js'
import { type Sample, type Server, sample, start } from './measure.js'
import { options, plan } from './options.js'
import { Progress } from './progress.js'
import { hasRedisBenchmark } from './redis.js'
import { type Results, serialized, summary } from './results.js'
import { print } from './table.js'
import { COUNTED, WORKLOADS, type Workload } from './workloads.js'
import { hasWrk } from './wrk.js'

/** The short run stops a workload after this number of rounds if it has taken this number of milliseconds. */
const QUICK_ROUNDS = 3
const QUICK_TIME = 25_000

const given = orExplain(options)
orExplain(build)
const { present, absent } = contenders(given.full)
if (given.list) {
  list()
  process.exit()
}
const { contenders: running, counted, ...planned } = orExplain(() => plan(given, present))
const workloads = planned.workloads.filter(
  ({ mode }) => (mode !== 'redis' || hasRedisBenchmark) && (!mode.startsWith('http') || hasWrk),
)
const hasStrace = spawnSync('strace', ['-V']).error === undefined

const results: Results = {
  date: new Date().toISOString(),
  machine: machine(),
  contenders: Object.fromEntries(running.map(({ name, title }) => [name, title])),
  skipped: [
    ...absent,
    ...(counted.includes('syscalls') && !hasStrace ? ['syscalls: strace is missing'] : []),
    ...(counted.includes('calls') && !hasStrace ? ['calls: strace is missing'] : []),
    ...planned.workloads
      .filter((workload) => !workloads.includes(workload))
      .map(({ name, mode }) => `${name}: ${mode === 'redis' ? 'redis-benchmark' : 'wrk'} is missing`),
  ],
  failures: [],
  timed: {},
  syscalls: {},
  calls: {},
  heap: {},
  memory: {},
}

/** The contenders whose garbage collection can be prevented, so that their heap can be measured. */
const withHeap = running.filter(({ runtime }) => runtime === 'node')
const crowds = given.full ? [50, 1000] : [1000]
const steps = {
  syscalls: hasStrace ? running.length * crowds.length : 0,
  calls: hasStrace ? workloads.reduce((total, workload) => total + takingPart(workload).length, 0) : 0,
  heap: withHeap.length,
  memory: running.length,
}
const timedSteps = workloads.map((workload) => takingPart(workload).length * given.rounds)
const progress = new Progress(
  [...timedSteps, ...counted.map((name) => steps[name])].reduce((total, count) => total + count, 0),
)

for (const workload of workloads) await time(workload)
if (counted.includes('syscalls') && hasStrace) {
  for (const contender of running) {
    for (const crowd of crowds) {
      await attempt('system calls', contender, async () => {
        ;(results.syscalls[contender.name] ??= {})[crowd] = await syscalls(contender, crowd)
      })
    }
  }
}
if (counted.includes('calls') && hasStrace) for (const workload of workloads) await count(workload)
if (counted.includes('heap')) {
  for (const contender of withHeap)
    await attempt('heap bytes', contender, async () => void (results.heap[contender.name] = await heapBytes(contender)))
}
if (counted.includes('memory')) {
  for (const contender of running)
    await attempt(
      'idle memory',
      contender,
      async () => void (results.memory[contender.name] = await memory(contender, given.isNet ? 5 : 1)),
    )
}
progress.end()

print(results)
mkdirSync(dirname(given.out), { recursive: true })
writeFileSync(given.out, serialized(results))
const charts = given.full && given.only.length === 0 ? write(results) : []
for (const file of [given.out, ...charts]) console.log(`written: ${relative(process.cwd(), file)}`)
if (results.failures.length > 0) process.exitCode = 1

function takingPart({ only }: Workload): readonly Contender[] {
  return only ? running.filter(({ name }) => only.includes(name)) : running
}

/** Prints an error of the user in one sentence. */
function orExplain<T>(act: () => T): T {
  try {
    return act()
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`)
    process.exit(2)
  }
}

/** All servers run at the same time and are measured in turn: A B C, C B A. */
async function time(workload: Workload): Promise<void> {
  const servers = new Map<Contender, Server>()
  const samples: Record<string, Sample[]> = {}
  const { warmup } = workload
  const amount = given.full ? workload.amount.full : workload.amount.short
  const begun = performance.now()
  for (let round = 1; round <= given.rounds; round++) {
    if (given.quick && round > QUICK_ROUNDS && performance.now() - begun > QUICK_TIME) {
      progress.skip((given.rounds - round + 1) * takingPart(workload).length)
      break
    }
    const inTurn = round % 2 === 1 ? takingPart(workload) : takingPart(workload).toReversed()
    for (const contender of inTurn) {
      await attempt(
        workload.name,
        contender,
        async () => {
          if (round === 1) servers.set(contender, await start(contender, workload.mode))
          const server = servers.get(contender)
          if (!server) return
          try {
            ;(samples[contender.name] ??= []).push(
              await sample(server, workload, amount, round === 1 ? warmup : warmup / 10),
            )
          } catch (error) {
            servers.delete(contender)
            delete samples[contender.name]
            await server.child.end()
            throw error
          }
        },
        `round ${round} of ${given.rounds}`,
      )
    }
  }
  await Promise.all([...servers.values()].map(({ child }) => child.end()))
  results.timed[workload.name] = Object.fromEntries(
    Object.entries(samples).map(([name, own]) => [name, summary(own, samples)]),
  )
}

async function count(workload: Workload): Promise<void> {
  const own: Record<string, Syscalls> = {}
  for (const contender of takingPart(workload)) {
    await attempt(`system calls of ${workload.name}`, contender, async () => {
      own[contender.name] = await calls(contender, workload)
    })
  }
  results.calls![workload.name] = own
}

/** A failure of one contender is recorded, and the others continue. */
async function attempt(what: string, { name }: Contender, act: () => Promise<void>, detail = ''): Promise<void> {
  progress.step(what, `${name} ${detail}`)
  try {
    await act()
  } catch (error) {
    results.failures.push(`${what}, ${name}: ${(error as Error).message}`)
  }
}

function list(): void {
  for (const { name, title, short } of WORKLOADS) console.log(`${name.padEnd(14)}${title}${short ? '' : ' (--full)'}`)
  console.log(`${COUNTED.join(', ')}\n`)
  for (const { name, title, short } of present) console.log(`${name.padEnd(14)}${title}${short ? '' : ' (--full)'}`)
  for (const name of absent) console.log(`skipped: ${name}`)
}
