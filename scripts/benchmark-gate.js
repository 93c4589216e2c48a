// Measures the figures that do not depend on timing, and fails if one is worse than in benchmark/results/short.json.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import process from 'node:process'

import { readJson, ROOT } from './targets.js'

process.chdir(ROOT)

const CONTENDERS = ['wait-sync', 'multiplexer', 'handlers', 'borrowed', 'm-socket/net']

/** The tolerance of each figure, a factor and an amount: the difference between repeated runs of one build. */
const FIGURES = [
  {
    name: 'system calls per echo',
    of: ({ syscalls }, contender) => syscalls[contender]?.['1000'].perUnit,
    most: 1.03,
    slack: 0,
  },
  // Not for `multiplexer`: how many echoes share the array and the promise of one wait depends on timing.
  {
    name: 'heap bytes per echo',
    of: ({ heap }, contender) => (contender === 'multiplexer' ? undefined : heap[contender]),
    most: 1.1,
    slack: 40,
  },
  {
    name: 'resident bytes per idle connection',
    of: ({ memory }, contender) => memory[contender]?.collected,
    most: 1.1,
    slack: 350,
  },
]

const folder = mkdtempSync(`${tmpdir()}/m-socket-gate-`)
process.on('exit', () => rmSync(folder, { recursive: true }))

const out = `${folder}/results.json`
const only = ['syscalls', 'heap', 'memory', ...CONTENDERS].join(',')
const { status } = spawnSync('npm', ['run', '--silent', 'bench', '--', '--only', only, '--out', out], {
  stdio: ['ignore', 2, 2],
})
if (status !== 0) process.exit(1)

const before = readJson('benchmark/results/short.json')
const now = JSON.parse(readFileSync(out, 'utf8'))
let failed = 0
let passed = 0
for (const { name, of, most, slack } of FIGURES) {
  for (const contender of CONTENDERS) {
    const [was, is] = [of(before, contender), of(now, contender)]
    if (was === undefined) continue // a new figure, with nothing to compare
    const good = is <= was * most + slack
    if (good) passed += 1
    else failed += 1
    console.log(`${good ? 'ok    ' : 'FAILED'}  ${name}, ${contender}: ${is?.toFixed(2)}, was ${was.toFixed(2)}`)
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
