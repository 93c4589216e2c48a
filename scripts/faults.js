// Makes each system call of the library fail, by strace(1), and checks what comes of it. `--all` tries every fault
// instead of a choice, `--only TEXT` those whose title has the text, `--tap` prints every one, `--record` writes
// docs/faults.

import { spawnSync } from 'node:child_process'
import process from 'node:process'

import { removeCore } from './cores/report.js'
import { choice, faultsOf, injection, places, title } from './faults/plan.js'
import { record } from './faults/records.js'
import { run } from './faults/run.js'
import { verdict } from './faults/verdict.js'

/** Programs at a time: as many as the processors of the smallest machine. */
const LANES = 2
/** How often a fault is tried that was not met. */
const TRIES = 3

const args = process.argv.slice(2)
const has = (name) => args.includes(name)
const only = has('--only') ? args[args.indexOf('--only') + 1] : ''

if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) {
  console.error('strace is not usable on this machine')
  process.exit(1)
}

const began = performance.now()
const faults = await plan()
console.log(`${faults.length} faults`)
const results = []
await inLanes(faults, async (fault) => {
  const result = await attempt(fault)
  results.push({ ...fault, ...result })
  print(fault, result)
})
if (has('--record')) record(results)
finish()

/** The faults to try. The calls are those that runs without a fault make. */
async function plan() {
  const found = []
  await inLanes(places(), async (place) => {
    const [cold, warm] = [await reference(place, false), await reference(place, true)]
    found.push(...faultsOf(place, cold, warm))
  })
  found.sort((a, b) => (title(a) < title(b) ? -1 : 1))
  const chosen = has('--all') ? found : choice(found)
  return chosen.filter((fault) => title(fault).includes(only))
}

async function reference(place, warm) {
  const { lines, nodes, result, stderr } = await run({ ...place, warm })
  if (result?.outcome !== 'done')
    throw new Error(`${place.scenario} fails without a fault: ${stderr}${JSON.stringify(result)}`)
  return { lines, nodes }
}

async function attempt(fault) {
  for (let count = 1; ; count++) {
    const made = await run({ ...fault, inject: injection(fault) })
    const judged = verdict(fault, made)
    // libuv may abort where a call of its own failed instead: that is no crash of the library's.
    if (judged.outcome === undefined && made.signal) removeCore(made.pid)
    if (judged.outcome !== undefined || count === TRIES) return judged
  }
}

async function inLanes(tasks, act) {
  const waiting = [...tasks]
  const lane = async () => {
    for (let task = waiting.shift(); task; task = waiting.shift()) await act(task)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

function print(fault, { problems, outcome }) {
  const name = title(fault)
  if (problems.length > 0) console.log([`not ok - ${name}`, ...problems].join('\n    '))
  else if (has('--tap'))
    console.log(outcome === undefined ? `# not called this time: ${name}` : `ok - ${name}: ${outcome}`)
}

function finish() {
  const failed = results.filter(({ problems }) => problems.length > 0).length
  const missed = results.filter(({ outcome }) => outcome === undefined).length
  const seconds = Math.round((performance.now() - began) / 1000)
  console.log(
    `${results.length - failed - missed} faults passed, ${failed} failed, ${missed} were not met, in ${seconds} s`,
  )
  process.exit(failed === 0 && results.length > missed ? 0 : 1)
}
