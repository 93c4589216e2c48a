// The results of a complete run: docs/faults, and the page that is made of them.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import process from 'node:process'

import { commitHere } from '../suite/records.js'
import { CALLS, nameOf } from './calls.js'

const FOLDER = new URL('../../docs/faults/', import.meta.url)
const LEVELS = ['model', 'handlers', 'streams', 'net', 'relay']

/**
 * Writes the record of a complete run.
 *
 * @param {(import('./plan.js').Fault & { problems: string[], outcome: string | undefined })[]} results
 */
export function record(results) {
  const met = results.filter(({ outcome }) => outcome !== undefined)
  const content = {
    runtime: `Node ${process.versions.node}`,
    on: `Linux ${release().split('.').slice(0, 2).join('.')}`,
    commit: commitHere(),
    date: new Date().toISOString().slice(0, 10),
    faults: met.length,
    failed: met.filter(({ problems }) => problems.length > 0).length,
    outcomes: outcomes(met),
  }
  mkdirSync(FOLDER, { recursive: true })
  const name = `node-${process.versions.node.split('.')[0]}-${process.arch}.json`
  // A list on one line.
  const text = JSON.stringify(content, null, 1).replace(/\[[^\]]*\]/g, (list) => list.replace(/\n */g, ' '))
  writeFileSync(new URL(name, FOLDER), `${text}\n`)
}

/** All records. */
export function records() {
  const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.json')) : []
  return files.sort().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')))
}

/** By call, `once` or `lasting`, errno and level: what came of it, most frequent first. */
function outcomes(results) {
  const calls = Object.keys(CALLS).map((call) => [
    call,
    kindsOf(
      call,
      results.filter((result) => result.call === call),
    ),
  ])
  return Object.fromEntries(calls.filter(([, kinds]) => Object.keys(kinds).length > 0))
}

function kindsOf(call, results) {
  const kinds = ['once', 'lasting'].map((kind) => {
    const ofKind = results.filter(({ lasting }) => lasting === (kind === 'lasting'))
    const errnos = CALLS[call][kind].map((errno) => [
      errno,
      levelsOf(ofKind.filter((result) => result.errno === errno)),
    ])
    return [kind, Object.fromEntries(errnos.filter(([, levels]) => Object.keys(levels).length > 0))]
  })
  return Object.fromEntries(kinds.filter(([, errnos]) => Object.keys(errnos).length > 0))
}

function levelsOf(results) {
  const levels = LEVELS.map((level) => [level, byFrequency(results.filter((result) => result.level === level))])
  return Object.fromEntries(levels.filter(([, words]) => words.length > 0))
}

function byFrequency(results) {
  const counts = new Map()
  for (const { outcome, problems } of results) {
    const word = problems.length > 0 ? 'FAILED' : outcome
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return [...counts].sort(([a, many], [b, few]) => few - many || (a < b ? -1 : 1)).map(([word]) => word)
}

/** The text of docs/faults.md. */
export function page(all) {
  return `# When the kernel fails

Each system call of the library is made to fail by strace(1), with the errnos of its manual page and with a few absurd
ones. It is done at each level: the model (\`Socket\`, \`Listener\`, \`Multiplexer\`), handlers (\`listen\`, \`connect\`), streams
(\`toDuplex\`, \`toWeb\`), net (\`m-socket/net\`, \`toNetSocket\`), \`relay\`. It is done in servers and clients, on TCP and Unix sockets; a single call, or
all from one on.
\`npm run test:faults\` tries each errno of each call once at each level, with \`-- --all\` in each program and at several
calls. With \`--record\` it writes docs/faults, from which \`npm run faults:table\` makes this page.

Three connections exchange 330,000 bytes each with a peer that reads slowly. Checked is that

- the program does not crash, hang, or spin, and leaves no descriptor open;
- each error is reported once, is a \`SocketError\` (of a stream like those of node:net: an error like theirs) with its code and system
  call, and comes to its owner;
- each connection that was opened is closed once, and nothing is called after that;
- what was accepted arrives, or an error says that it does not; what is received is what was sent;
- a single failed call of one connection leaves the others as they are.

${all.length === 0 ? 'No run has been recorded yet.\n' : all.map(section).join('\n')}`
}

function section({ runtime, on, commit, date, faults, failed, outcomes: table }) {
  const rows = Object.entries(table).flatMap(([call, kinds]) =>
    Object.entries(kinds).flatMap(([kind, errnos]) => rowsOf(call, kind, errnos)),
  )
  return `## ${runtime}, ${on}

${faults} faults, ${failed} failed; commit ${commit}, ${date}.

| | what comes of it |
| --- | --- |
| goes on | the exchange is completed as if nothing had happened |
| thrown, rejected | the call throws, or its promise rejects |
| error | handlers: \`error\`, then \`close\` with it; streams: the events \`error\` and \`close\` |
| uncaught | an uncaughtException: the call belongs to no connection |
| later | nothing happens while the fault lasts, and the exchange is completed after it |

| call | errno | model | handlers | streams | net | relay |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}

/** Errnos with the same outcomes share a row. */
function rowsOf(call, kind, errnos) {
  const rows = new Map()
  for (const [errno, levels] of Object.entries(errnos)) {
    const cells = LEVELS.map((level) => levels[level]?.join(', ') ?? '').join(' | ')
    rows.set(cells, [...(rows.get(cells) ?? []), errno])
  }
  return [...rows].map(
    ([cells, names]) =>
      `| \`${shown(call)}\` | ${names.join(', ')}${kind === 'lasting' ? ', lasting' : ''} | ${cells} |`,
  )
}

/** `epoll_ctl(ADD)`; of Node's own descriptor, too. */
function shown(call) {
  const [name, operation, whose] = [nameOf(call), call.split(' ')[1], call.split(' ')[2]]
  return operation === undefined ? name : `${name} ${operation}${whose === undefined ? '' : " by Node's loop"}`
}
