// The results of complete runs, one file for each suite, and the page that is made of them.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { commitHere } from '../suite/records.js'
import { knownOf } from './known.js'

const FOLDER = new URL('../../docs/node-suite/', import.meta.url)
const PAGE = new URL('../../docs/node-suite.md', import.meta.url)

/** Compares the results on `m-socket/net` with what is expected. */
export function differences(version, counted, results) {
  const known = knownOf(version)
  const failed = counted.filter(({ name }) => results.get(name).outcome !== 'passed')
  const unexpected = failed.filter(({ name }) => !known[name])
  const better = counted.filter(({ name }) => known[name] && !failed.some((file) => file.name === name))
  const pure = counted.filter(({ internals }) => !internals)
  const pureFailed = failed.filter(({ internals }) => !internals)
  const passed = counted.length - failed.length
  const lines = [
    ...failed.map(({ name, internals }) => {
      const state = known[name] ? 'expected failure' : 'FAILED'
      const note = internals ? ' (touches internals)' : ''
      return `${state}: ${name}${note}: ${known[name] ?? results.get(name).reason}`
    }),
    ...better.map(({ name }) => `passes, and is listed as a known difference: ${name}`),
  ]
  const summary =
    `suite ${version}: ${passed} of ${counted.length} pass on m-socket/net; ` +
    `of those that touch no internals ${pure.length - pureFailed.length} of ${pure.length}`
  const expected = failed.length - unexpected.length
  return {
    expected,
    counted,
    pure,
    pureFailed,
    failed,
    passed,
    lines,
    summary,
    unexpected: unexpected.length + better.length,
  }
}

/** Writes the record of a complete run. */
export function record(suite, program, files, { counted, pure, pureFailed, failed, passed }) {
  const content = {
    suite: suite.version,
    node: execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().slice(1),
    commit: commitHere(),
    date: new Date().toISOString().slice(0, 10),
    files: files.length,
    counted: counted.length,
    passed,
    pure: { counted: pure.length, passed: pure.length - pureFailed.length },
    failed: failed.map(({ name }) => name).sort(),
  }
  mkdirSync(FOLDER, { recursive: true })
  const file = `suite-${suite.version.split('.')[0]}.json`
  writeFileSync(new URL(file, FOLDER), `${JSON.stringify(content, null, 1)}\n`)
}

export function records() {
  const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : []
  return files.sort().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')))
}

/** Writes docs/node-suite.md from the records. */
export function writePage() {
  writeFileSync(fileURLToPath(PAGE), page(records()))
}

/** The text of docs/node-suite.md. */
export function page(all) {
  const known = knownOf('99')
  const names = [...new Set(all.flatMap(({ failed }) => failed))].sort()
  return `# Node's own tests on m-socket/net

The files of Node's test suite whose names contain \`net\`, of the folders \`parallel\`, \`sequential\`, \`pummel\` and
\`async-hooks\`. Each runs by itself, first on Node's own net: a file counts if it passes there. Then a hook gives
\`m-socket/net\` to the test in place of \`node:net\`. A file touches internals if it uses \`--expose-internals\`,
\`internalBinding\`, \`process.binding\`, an \`internal/\` module or \`_handle\`.

The suite is not part of this repository: \`npm run test:node-suite -- --tests PATH --node PROGRAM --record\` runs a copy
of it and writes this page.

| suite | run on | files | pass on node:net | of these on m-socket/net | without internals | commit | date |
| --- | --- | --- | --- | --- | --- | --- | --- |
${all.map(row).join('\n')}

## What fails, and why

${names.length === 0 ? 'Nothing.' : `| file | reason |\n| --- | --- |\n${names.map((name) => `| ${name} | ${known[name] ?? 'a fault of ours'} |`).join('\n')}`}
`
}

function row({ suite, node, files, counted, passed, pure, commit, date }) {
  const cells = [suite, `Node ${node}`, files, counted, passed, `${pure.passed} of ${pure.counted}`, commit, date]
  return `| ${cells.join(' | ')} |`
}
