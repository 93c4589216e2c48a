// Reads all prose, comments and names for words that the project does not use: scripts/prose/words.js. In pages and in the
// comments of lib, src, examples and simulation it also finds sentences that are hard to read: scripts/prose/sentences.js.
// `--count` prints how often each stands in which folder; `--in FOLDER` reads another checkout.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { hard } from './prose/sentences.js'
import { EXCEPTIONS, WORDS } from './prose/words.js'
import { ROOT } from './targets.js'

/** What is read; of a folder, the files that people write. */
const PATHS =
  'src lib simulation __test__ docs examples scripts npm benchmark .ci .github README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md ' +
  'loadable.js index.d.ts build.rs package.json Cargo.toml deny.toml'
const WRITTEN = /\.(rs|[cm]?[jt]s|md|py|toml|yml)$|^package\.json$|^run$/
const GENERATED =
  /^(docs\/api|docs\/suite(\.md)?|docs\/faults|docs\/charts|benchmark\/results)$|(^|\/)(node_modules|target|THIRD-PARTY\.md)$/

/** They are about the words. */
const ABOUT_WORDS = [
  'scripts/prose.js',
  'scripts/prose/words.js',
  'scripts/prose/sentences.js',
  '__test__/project/prose.spec.ts',
]

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))

/**
 * Every use of a word in a text, exceptions left out.
 * @returns {{ path: string, line: number, word: string, found: string, use: string }[]}
 */
export function misused(path, text, words = WORDS, exceptions = EXCEPTIONS) {
  const wanted = words.filter(({ only }) => only === undefined || only.test(path))
  return text.split('\n').flatMap((line, at) =>
    wanted.flatMap(({ word, pattern, use }) => {
      const isExcepted = exceptions.some(
        (exception) => exception.path === path && exception.word === word && (exception.line?.test(line) ?? true),
      )
      return isExcepted ? [] : [...line.matchAll(pattern)].map(([found]) => ({ path, line: at + 1, word, found, use }))
    }),
  )
}

/** Every use of a word, and every sentence that is hard to read, in a checkout. */
export function misusedIn(root) {
  return PATHS.split(' ')
    .flatMap((path) => files(root, path))
    .flatMap((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      return [...misused(path, text), ...hard(path, text)]
    })
}

function main(args) {
  const root = args.includes('--in') ? args[args.indexOf('--in') + 1] : ROOT
  const all = misusedIn(root)
  if (args.includes('--count')) return count(all)
  for (const { path, line, found, use } of all) console.log(`${path}:${line}: "${found.trim()}": use ${use}`)
  console.log(
    all.length === 0
      ? 'the prose is plain'
      : `${all.length} words that are not ours, and sentences that are hard to read`,
  )
  process.exitCode = all.length === 0 ? 0 : 1
}

function files(root, path) {
  const status = statSync(join(root, path), { throwIfNoEntry: false })
  if (status === undefined || GENERATED.test(path)) return []
  if (status.isDirectory()) return readdirSync(join(root, path)).flatMap((name) => files(root, `${path}/${name}`))
  return WRITTEN.test(path.split('/').at(-1)) && !ABOUT_WORDS.includes(path) ? [path] : []
}

function count(all) {
  const folders = [...new Set(all.map(folderOf))]
  const words = [...new Set(WORDS.map(({ word }) => word)), 'long', 'riddle']
  const row = (name, found) => [
    name,
    ...folders.map((folder) => found.filter((each) => folderOf(each) === folder).length),
    found.length,
  ]
  const uses = (name) => all.filter(({ word }) => word === name)
  const table = [['word', ...folders, 'all'], ...words.map((name) => row(name, uses(name))), row('all', all)]
  const widths = table[0].map((_, column) => Math.max(...table.map((cells) => String(cells[column]).length)))
  for (const [name, ...numbers] of table) {
    console.log(
      [name.padEnd(widths[0]), ...numbers.map((each, at) => String(each || '').padStart(widths[at + 1]))].join('  '),
    )
  }
}

function folderOf({ path }) {
  return path.includes('/') ? path.split('/')[0] : 'root'
}
