// Writes THIRD-PARTY.md: what is linked into the addon, under which licence, with the texts. `--check` compares only,
// and also fails on a development dependency without a licence. `--list` prints every dependency: what is linked, what
// builds the addon, and what only develops it, the simulation's included.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'

import { readJson, ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const FILE = 'THIRD-PARTY.md'
const metadata = cargoMetadata()
const packages = new Map(metadata.packages.map((each) => [each.id, each]))
const crates = linked()
const modules = Object.entries(readJson('package-lock.json').packages)
  .filter(([path]) => path !== '')
  .map(([path, { version, license }]) => ({ name: path.replace(/.*node_modules\//, ''), version, license }))

if (process.argv.includes('--list')) list()
else if (process.argv.includes('--check')) check()
else write()

function write() {
  writeFileSync(FILE, text())
  console.log(`${FILE}: ${crates.length} crates`)
}

function check() {
  const problems = []
  if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== text())
    problems.push(`${FILE} is not up to date: npm run licences`)
  for (const { name, version, license } of [...packages.values(), ...modules]) {
    if (!license) problems.push(`${name} ${version} states no licence`)
  }
  for (const problem of problems) console.log(`FAILED  ${problem}`)
  console.log(
    `${crates.length} crates linked, ${packages.size} crates and ${modules.length} npm packages in all, ${problems.length} problems`,
  )
  process.exitCode = problems.length === 0 ? 0 : 1
}

function list() {
  const build = new Set(reached(({ kind }) => kind !== 'dev'))
  const others = [...packages.values()].filter((crate) => !crates.includes(crate) && !isOwn(crate))
  const rows = [
    ...crates.map((crate) => ['linked', ...shown(crate)]),
    ...others.map((crate) => [build.has(crate) ? 'build' : 'development', ...shown(crate)]),
    ...modules.map((module) => ['development', ...shown(module)]),
  ]
  for (const row of rows) console.log(row.join('\t'))
}

function isOwn({ id }) {
  return metadata.workspace_members.includes(id)
}

function shown({ name, version, license }) {
  return [name, version, license ?? '?']
}

/** The crates whose code is in the binary: not those of build scripts, nor macros, nor what only those use. */
function linked() {
  return reached(
    ({ kind, target }) => kind === null && (target === null || !/windows|wasm|macos|apple/.test(target)),
    (crate) => !crate.targets.some(({ kind }) => kind.includes('proc-macro')),
  )
}

/** What the addon depends on, by dependencies of one of these kinds, and by these crates alone. */
function reached(isFollowed, isVisited = () => true) {
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]))
  const seen = new Set()
  visit(metadata.resolve.root)
  seen.delete(metadata.resolve.root)
  return [...seen].map((id) => packages.get(id)).sort((a, b) => (a.name < b.name ? -1 : 1))

  function visit(id) {
    if (seen.has(id) || !isVisited(packages.get(id))) return
    seen.add(id)
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) if (kinds.some(isFollowed)) visit(pkg)
  }
}

function text() {
  const texts = new Map()
  for (const crate of crates) {
    for (const each of licenceTexts(crate)) texts.set(each, [...(texts.get(each) ?? []), crate.name])
  }
  return [
    '# Third-party code',
    '',
    'The addon is linked with these crates, and with the standard library of Rust (MIT OR Apache-2.0). The packages have no',
    'dependencies on npm besides each other. Written by `npm run licences`.',
    '',
    '| crate | version | licence |',
    '| --- | --- | --- |',
    ...crates.map(({ name, version, license }) => `| ${name} | ${version} | ${license} |`),
    '',
    ...[...texts].flatMap(([each, names]) => [`## ${names.join(', ')}`, '', '```text', each, '```', '']),
  ].join('\n')
}

/** The MIT one where there is a choice: it is the shorter. */
function licenceTexts({ manifest_path: manifest }) {
  const folder = dirname(manifest)
  const names = readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying)/i.test(name))
    .sort()
  const chosen = names.filter((name) => /mit/i.test(name))
  return (chosen.length > 0 ? chosen : names).map((name) =>
    readFileSync(`${folder}/${name}`, 'utf8').replaceAll('\r', '').trim(),
  )
}

function cargoMetadata() {
  const args = [
    'metadata',
    '--format-version',
    '1',
    '--locked',
    ...TARGETS.flatMap(({ triple }) => ['--filter-platform', triple]),
  ]
  const { status, stdout, stderr } = spawnSync('cargo', args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}
