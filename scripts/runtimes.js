// Runs the tests on every runtime that is installed: this Node, those in .cache/node-*, Bun and Deno in
// .cache/contenders or on the PATH.
//
//   node scripts/runtimes.js [--only NAME,NAME] [--record | SPEC...]
//
// NAME: node-20, bun, deno. SPEC: a path in __test__.
//
// On Node, ava runs the tests. ava does not run on Bun and Deno: there scripts/runtimes/ava.js takes its place. Prints
// the failed tests, the skipped tests with their reasons, a table, and "N passed, N failed". `--record` writes the
// records of docs/suite.md.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { release } from 'node:os'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'

import { commitHere, record } from './suite/records.js'
import { Tally } from './suite/tally.js'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, record: { type: 'boolean' } },
})
if (values.record && positionals.length > 0) throw new Error('--record needs a complete run: give no SPEC')

/** The longest time for one spec, in milliseconds. */
const TIMEOUT = 300_000
/** As `concurrency` in the settings of ava. */
const CONCURRENCY = 2

const LIBC = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
const ARCH = process.arch === 'arm64' ? { bun: 'aarch64', deno: 'arm64' } : { bun: 'x64', deno: 'x64' }
const OTHERS = {
  bun: {
    program: `@oven/bun-linux-${ARCH.bun}/bin/bun`,
    flags: ['--expose-gc', '--tsconfig-override=scripts/runtimes/tsconfig.json'],
  },
  deno: {
    program: `@deno/linux-${ARCH.deno}-glibc/deno`,
    flags: [
      'run',
      '--allow-all',
      '--no-lock',
      '--unstable-sloppy-imports',
      '--v8-flags=--expose-gc',
      '--import-map=scripts/runtimes/imports.json',
    ],
  },
}

const specs = positionals.length > 0 ? positionals : specsOf('__test__')
const only = values.only?.split(',')
const commit = values.record && commitHere()
const results = []
for (const runtime of runtimes().filter(({ name }) => only?.includes(name) ?? true)) {
  process.stderr.write(`${runtime.title} ...\n`)
  const tally = new Tally()
  await runtime.run(tally)
  tally.report(runtime.title)
  results.push({ title: runtime.title, tally })
  if (values.record)
    record(
      {
        runtime: runtime.title,
        architecture: process.arch,
        libc: LIBC,
        on: `Linux ${/^\d+\.\d+/.exec(release())}`,
        commit,
      },
      tally,
    )
}
summarize(results)

function runtimes() {
  const nodes = [process.execPath, ...cachedNodes()].map((program) => ({ program, version: versionOf(program) }))
  const unique = nodes.filter(({ version }, at) => nodes.findIndex((other) => other.version === version) === at)
  const onNode = unique.map(({ program, version }) => ({
    name: `node-${version.split('.')[0]}`,
    title: `Node ${version}`,
    run: (tally) => runTests(tally, program, ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...specs], 'ava'),
  }))
  const onOthers = Object.entries(OTHERS).flatMap(([name, { program, flags }]) => {
    const installed = `${root}.cache/contenders/node_modules/${program}`
    const found = existsSync(installed) ? installed : spawnSync(name, ['--version']).error ? undefined : name
    if (!found) {
      process.stderr.write(`${name} is not installed: neither in .cache/contenders nor on the PATH\n`)
      return []
    }
    const title = `${name === 'bun' ? 'Bun' : 'Deno'} ${versionOf(found)}`
    return [{ name, title, run: (tally) => runSpecs(tally, found, flags) }]
  })
  return [...onNode.sort((a, b) => a.name.localeCompare(b.name)), ...onOthers]
}

function cachedNodes() {
  if (!existsSync('.cache')) return []
  return readdirSync('.cache')
    .filter((name) => name.startsWith('node-'))
    .flatMap((name) => [
      `.cache/${name}/node_modules/node/bin/node`,
      `.cache/${name}/node_modules/node-linux-${process.arch}/bin/node`,
    ])
    .filter((path) => existsSync(path))
}

/** Runs each spec in a process of its own. */
async function runSpecs(tally, program, flags) {
  const waiting = [...specs]
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (let spec; (spec = waiting.shift());) {
        await runTests(tally, program, [...flags, 'scripts/runtimes/run.js', `${root}${spec}`], spec)
      }
    }),
  )
}

/** Runs a program that prints TAP, and adds its results to the tally. */
async function runTests(tally, program, args, spec) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = spec === 'ava' ? undefined : setTimeout(() => child.kill('SIGKILL'), TIMEOUT)
  const errors = []
  const own = new Tally()
  child.stderr.on('data', (chunk) => errors.push(String(chunk)))
  createInterface({ input: child.stdout }).on('line', (line) => own.read(line, spec === 'ava' ? '' : prefixOf(spec)))
  const [code, signal] = await new Promise((resolve) => child.once('close', (...ended) => resolve(ended)))
  clearTimeout(timer)
  if (signal !== null || own.count === 0 || (code !== 0 && own.failed.length === 0)) {
    own.fail(`${spec}: ended with ${signal ?? code} after ${own.count} tests`, errors.join('').split('\n').slice(-20))
  }
  tally.add(own)
}

function summarize(results) {
  console.log('\n| runtime | passed | failed | skipped |\n| --- | --- | --- | --- |')
  for (const { title, tally } of results)
    console.log(`| ${title} | ${tally.passed} | ${tally.failed.length} | ${tally.skipped.length} |`)
  const sum = (count) => results.reduce((total, { tally }) => total + count(tally), 0)
  const failures = sum(({ failed }) => failed.length)
  console.log(`\n${sum(({ passed }) => passed)} passed, ${failures} failed`)
  process.exitCode = failures > 0 || results.length === 0 ? 1 : 0
}

function specsOf(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.spec.ts'))
    .map((name) => `${folder}/${name}`)
    .sort()
}

/** The prefix that ava puts before the titles of a file. */
function prefixOf(spec) {
  return `${spec
    .replace(/^__test__\//, '')
    .replace(/\.spec\.ts$/, '')
    .replaceAll('/', ' › ')} › `
}

function versionOf(program) {
  return /\d+\.\d+\.\d+/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'of unknown version'
}
