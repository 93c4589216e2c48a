// Runs Node's own tests of node:net on `m-socket/net`. They are not part of this repository: give the folder that has
// Node's `test` folder in it, or that folder itself; its name is the version of the suite (for example 24.12.0).
//
//   npm run test:node-suite -- --tests PATH [--node PROGRAM] [--only TEXT] [--jobs 2] [--net node|m-socket]
//                              [--reuse] [--timeout SECONDS] [--output FOLDER] [--record]
//
// Each file runs by itself, first on Node's own net; `--net node` stops there. Files that pass there run again with a
// hook that gives `m-socket/net` in place of `net`. `--reuse` takes the results of Node's own net from the last
// run. `--output` keeps what each failed file printed. `--record` writes docs/node-suite.md, and needs a complete run.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { suiteAt } from './node-suite/files.js'
import { differences, record, writePage } from './node-suite/records.js'
import { nodeResults, runAll } from './node-suite/run.js'

const { values } = parseArgs({
  options: {
    tests: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
    net: { type: 'string', default: 'm-socket' },
    timeout: { type: 'string', default: '60' },
    output: { type: 'string' },
    reuse: { type: 'boolean' },
    record: { type: 'boolean' },
  },
})
if (!values.tests) throw new Error('--tests PATH is missing: the folder of a copy of Node’s test suite')
if (!['node', 'm-socket'].includes(values.net)) throw new Error(`--net is node or m-socket, not ${values.net}`)
if (values.record && (values.only || values.net === 'node')) throw new Error('--record needs a complete run')

const suite = suiteAt(values.tests)
const files = suite.files.filter(({ name }) => name.includes(values.only))
const settings = { suite, program: values.node, jobs: Number(values.jobs), timeout: Number(values.timeout) * 1000 }

const onNode = await nodeResults(files, settings, values.reuse)
const counted = files.filter(({ name }) => onNode.get(name)?.outcome === 'passed')
for (const [name, { outcome, reason }] of onNode)
  if (outcome !== 'passed') console.log(`${outcome} on Node: ${name}: ${reason}`)
console.log(`Node's own net: ${counted.length} of ${files.length} files pass\n`)

if (values.net === 'm-socket') {
  const results = await runAll(counted, { ...settings, onOurs: true })
  const found = differences(suite.version, counted, results)
  for (const line of found.lines) console.log(line)
  if (values.output) keepOutput(values.output, results)
  if (values.record) {
    await record(suite, values.node, files, found)
    writePage()
  }
  console.log(`\n${found.summary}`)
  console.log(`${found.passed} passed, ${found.unexpected} failed, ${found.expected} skipped`)
  process.exitCode = found.unexpected > 0 ? 1 : 0
}

function keepOutput(folder, results) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [name, { outcome, output }] of results)
    if (outcome !== 'passed') writeFileSync(join(folder, `${name.replaceAll('/', '+')}.txt`), output)
}
