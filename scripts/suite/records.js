// What whole runs of the suite have come to: one file for each runtime, architecture and libc.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'

import { byReason } from './tally.js'

const FOLDER = new URL('../../docs/suite/', import.meta.url)

/** The commit that is checked out: asked for before a run, which takes so long that the next may be made meanwhile. */
export function commitHere() {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
}

/**
 * Keeps what a whole run has come to.
 *
 * @param {{ runtime: string, architecture: string, libc: string, on: string, commit: string }} where `runtime` with its version, as `Node 24.1.0`
 * @param {import('./tally.js').Tally} tally
 */
export function record(where, { passed, failed, skipped }) {
  const [name, version] = where.runtime.toLowerCase().split(' ')
  const file = `${[name === 'node' ? `node-${version.split('.')[0]}` : name, where.architecture, where.libc].join('-')}.json`
  const kept = {
    ...where,
    date: new Date().toISOString().slice(0, 10),
    passed,
    failed: failed.map(({ name }) => name).sort(),
    skipped: skipped.toSorted(byName),
  }
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(new URL(file, FOLDER), `${JSON.stringify(kept, null, 1)}\n`)
}

/** All that is kept. */
export function records() {
  const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : []
  return files.map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')))
}

/** The page that shows them. */
export function page(records) {
  const sorted = [...records].sort((a, b) => compare(rank(a), rank(b)))
  return `# The suite, runtime by runtime

What whole runs of the suite have come to. Each left a record in \`docs/suite\`, and this page is written from them by
\`npm run suite:table\`. A run is recorded with \`--record\`: \`npm run test:runtimes -- --record\`,
\`npm run test:arm64 -- --record\`, and \`test:musl\` and \`test:arm64-musl\` likewise.

${sorted.length === 0 ? 'No run has been recorded yet.\n' : table(sorted)}`
}

function table(sorted) {
  return `| runtime | architecture | libc | run on | passed | failed | skipped | commit | date |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${sorted.map(row).join('\n')}

Skipped is what the runtime or the emulation cannot do: found out by trying, or by a probe, never by a guess.
${sorted.map(details).join('')}`
}

/** Tests end in another order each time. */
function byName(a, b) {
  return compare([a.reason, a.name], [b.reason, b.name])
}

function row({ runtime, architecture, libc, on, passed, failed, skipped, commit, date }) {
  return `| ${[runtime, architecture, libc, on, passed, failed.length, skipped.length, commit, date].join(' | ')} |`
}

function details({ runtime, architecture, libc, failed, skipped }) {
  if (failed.length + skipped.length === 0) return ''
  const failures = failed.length === 0 ? [] : [list('Failed', failed)]
  const groups = [...byReason(skipped)].map(([reason, names]) => list(`Skipped, ${names.length}: ${reason}`, names))
  return `\n## ${runtime}, ${architecture}, ${libc}\n\n${[...failures, ...groups].join('\n\n')}\n`
}

function list(title, names) {
  return [title, '', ...names.map((name) => `- \`${name}\``)].join('\n')
}

/** Nodes by age, then the others; x64 before arm64, glibc before musl. */
function rank({ runtime, architecture, libc }) {
  const [name, version] = runtime.split(' ')
  return [name === 'Node' ? Number.parseInt(version, 10) : 1000, name, architecture === 'x64' ? 0 : 1, libc]
}

function compare(a, b) {
  const at = a.findIndex((value, index) => value !== b[index])
  if (at < 0) return 0
  return a[at] < b[at] ? -1 : 1
}
