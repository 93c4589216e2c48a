// Runs real programs against real servers, on node:net and on `m-socket/register`, and compares what each step came to
// with __test__/consumers/expected. Prints TAP.
//
//   node scripts/consumers.js [--only NAME,NAME] [--on net|m-socket] [--record]
//
// NAME: a program in __test__/consumers/programs. `--record` writes what the steps came to on node:net as what is
// expected.

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { compare } from './consumers/compare.js'
import { read, write } from './consumers/expected.js'
import { install, programsFolder } from './consumers/install.js'
import { run, SIDES } from './consumers/run.js'
import { startServers } from './consumers/servers.js'
import { ROOT } from './targets.js'

/** Programs at a time: as many as the processors of the smallest machine. */
const LANES = 2

process.chdir(ROOT)
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    on: { type: 'string' },
    record: { type: 'boolean' },
    tap: { type: 'boolean' },
  },
})
const sides = values.record ? ['net'] : values.on ? [values.on] : Object.keys(SIDES)
const began = performance.now()
let count = 0
let failures = 0

if (!values.record && sides.includes('m-socket')) setUp()
install()
const waiting = names()
await Promise.all(Array.from({ length: LANES }, lane))
console.log(`1..${count}`)
console.log(`# ${count - failures} passed, ${failures} failed, in ${Math.round((performance.now() - began) / 1000)} s`)
process.exit(failures === 0 && count > 0 ? 0 : 1)

function names() {
  const all = readdirSync('__test__/consumers/programs')
    .filter((name) => name.endsWith('.js'))
    .map((name) => name.slice(0, -3))
  const only = values.only?.split(',')
  const unknown = only?.filter((name) => !all.includes(name)) ?? []
  if (unknown.length > 0) throw new Error(`no such program: ${unknown.join(', ')}; there are ${all.join(', ')}`)
  return all.filter((name) => only?.includes(name) ?? true)
}

async function lane() {
  for (let name = waiting.shift(); name; name = waiting.shift()) {
    try {
      await consume(name)
    } catch (error) {
      report(`${name}: runs`, [error.missing ?? error.stack])
    }
  }
}

/** Runs one program on each side, one after the other, with the same servers. */
async function consume(name) {
  const program = await import(`${programsFolder}/${name}.js`)
  const servers = await startServers(program.servers ?? [])
  const results = {}
  try {
    for (const side of sides) results[side] = await run(name, side, program, servers)
  } finally {
    await servers.stop()
  }
  if (values.record) write(name, results.net)
  for (const { title, problems } of compare(results, read(name))) report(`${name}: ${title}`, problems)
}

function report(title, problems) {
  count++
  if (problems.length > 0) failures++
  console.log([`${problems.length > 0 ? 'not ok' : 'ok'} ${count} - ${title}`, ...problems.map(indented)].join('\n'))
}

function indented(text) {
  return text.replace(/^/gm, '    ')
}

function setUp() {
  const { status } = spawnSync(process.execPath, ['scripts/setup.js'], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
