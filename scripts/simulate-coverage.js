// Which lines of src/core the simulation reaches: docs/simulation.md. Prints how many of each file, and each line that it
// never reaches. Fails below THRESHOLD. `--seconds N` and `--seed N` are those of the program, 20 and 1 by default.

import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

import { must, option, requireCargo, run } from './simulate/cargo.js'
import { ROOT } from './targets.js'

/** Of the lines of src/core that have code, in percent. */
const THRESHOLD = 95

requireCargo()
const FOLDER = `${ROOT}.cache/coverage`
const PROFILES = `${FOLDER}/profiles`
const seconds = option('--seconds', '20')
const seed = option('--seed', '1')

const tools = llvmTools()
const program = build()
const profile = play()
report(exported())

/** Where llvm-profdata and llvm-cov are: the component of rustup, which is installed if it is missing. */
function llvmTools() {
  const sysroot = must('rustc', ['--print', 'sysroot']).trim()
  const host = /^host: (.*)$/m.exec(must('rustc', ['--version', '--verbose']))[1]
  const folder = join(sysroot, 'lib/rustlib', host, 'bin')
  const isInstalled = () => run(`${folder}/llvm-cov`, ['--version']).status === 0
  if (!isInstalled()) must('rustup', ['component', 'add', 'llvm-tools'])
  if (!isInstalled()) stop('llvm-cov is missing: rustup component add llvm-tools')
  return folder
}

/** Without inlining each line is counted where it stands. */
function build() {
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: `${FOLDER}/target`,
    CARGO_PROFILE_RELEASE_LTO: 'off',
    CARGO_PROFILE_RELEASE_STRIP: 'none',
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    RUSTFLAGS: '-C instrument-coverage',
  }
  must('cargo', ['build', '--release', '--quiet', '--locked', '-p', 'simulation', '--bin', 'simulation'], { env })
  return `${FOLDER}/target/release/simulation`
}

/** Plays for the whole time: a program that fails has reached its lines, too. */
function play() {
  rmSync(PROFILES, { recursive: true, force: true })
  mkdirSync(PROFILES, { recursive: true })
  const env = { ...process.env, LLVM_PROFILE_FILE: `${PROFILES}/%p.profraw` }
  const args = ['--survey', '--seconds', seconds, '--seed', seed]
  const { status, stdout, stderr } = run(program, args, { env })
  process.stdout.write(stdout + stderr)
  if (status !== 0) process.exitCode = 1
  const merged = `${PROFILES}/all.profdata`
  const raw = readdirSync(PROFILES).map((name) => `${PROFILES}/${name}`)
  must(`${tools}/llvm-profdata`, ['merge', '--sparse', '-o', merged, ...raw])
  return merged
}

/** The lines of src/core that have code, and how often each was run, in the format of lcov. */
function exported() {
  const args = ['export', '--format=lcov', `--instr-profile=${profile}`, program]
  return must(`${tools}/llvm-cov`, args)
    .split('end_of_record')
    .map((record) => ({
      path: relative(/^SF:(.*)$/m.exec(record)?.[1]),
      lines: [...record.matchAll(/^DA:(\d+),(\d+)$/gm)].map(([, line, count]) => ({ line: +line, count: +count })),
    }))
    .filter(({ path }) => path?.startsWith('src/core/'))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The crate reaches src/core by a path of its own: `simulation/src/../../src/core`. */
function relative(path) {
  return path === undefined || !existsSync(path) ? undefined : realpathSync(path).slice(realpathSync(ROOT).length + 1)
}

function report(files) {
  let [reached, total] = [0, 0]
  for (const { path, lines } of files) {
    const text = readFileSync(ROOT + path, 'utf8').split('\n')
    const missed = lines.filter(({ count }) => count === 0)
    console.log(`${path}: ${lines.length - missed.length} of ${lines.length} lines`)
    for (const { line } of missed) console.log(`  ${path}:${line}: ${text[line - 1].trim()}`)
    reached += lines.length - missed.length
    total += lines.length
  }
  const percent = total === 0 ? 0 : (100 * reached) / total
  console.log(`${reached} of ${total} lines of src/core, ${percent.toFixed(1)}%; at least ${THRESHOLD}% are required`)
  if (total === 0 || percent < THRESHOLD) process.exitCode = 1
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
