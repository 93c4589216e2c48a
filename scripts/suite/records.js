// The results of complete test runs: one file for each runtime, architecture and libc.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'

import { byReason } from './tally.js'

const FOLDER = new URL('../../docs/suite/', import.meta.url)

/** The commit that is checked out. Call it before a run: another commit may be made while the tests run. */
export function commitHere() {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
}

/**
 * Writes the record of a complete run.
 *
 * @param {{ runtime: string, architecture: string, libc: string, on: string, commit: string }} where
 *   `runtime` with its version, for example `Node 24.1.0`
 * @param {import('./tally.js').Tally} tally
 */
export function record(where, { passed, failed, skipped }) {
  const [name, version] = where.runtime.toLowerCase().split(' ')
  const file = `${[name === 'node' ? `node-${version.split('.')[0]}` : name, where.architecture, where.libc].join('-')}.json`
  const content = {
    ...where,
    date: new Date().toISOString().slice(0, 10),
    passed,
    failed: failed.map(({ name }) => name).sort(),
    skipped: skipped.toSorted(byName),
  }
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(new URL(file, FOLDER), `${JSON.stringify(content, null, 1)}\n`)
}

/** All records. */
export function records() {
  const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : []
  return files.map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')))
}

/** The text of docs/suite.md. */
export function page(records) {
  const sorted = [...records].sort((a, b) => compare(rank(a), rank(b)))
  return `# Test results by runtime

The results of complete test runs. A run with \`--record\` writes a record to \`docs/suite\`: \`npm run test:runtimes -- --record\`,
\`npm run test:arm64 -- --record\`, and likewise \`test:musl\` and \`test:arm64-musl\`. \`npm run suite:table\` writes this page from the
records.

${sorted.length === 0 ? 'No run has been recorded yet.\n' : table(sorted)}`
}

function table(sorted) {
  return `| runtime | architecture | libc | run on | passed | failed | skipped | commit | date |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${sorted.map(row).join('\n')}

A test is skipped where the runtime or the emulator cannot run it. Each reason was found by running the test or by a probe.
${sorted.map(details).join('')}`
}

/** The order in which tests end differs from run to run. */
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

/** Versions of Node from old to new, then other runtimes; x64 before arm64, glibc before musl. */
function rank({ runtime, architecture, libc }) {
  const [name, version] = runtime.split(' ')
  return [name === 'Node' ? Number.parseInt(version, 10) : 1000, name, architecture === 'x64' ? 0 : 1, libc]
}

function compare(a, b) {
  const at = a.findIndex((value, index) => value !== b[index])
  if (at < 0) return 0
  return a[at] < b[at] ? -1 : 1
}
