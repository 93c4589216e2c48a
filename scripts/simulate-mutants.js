// Puts each fault of simulation/mutants into a copy of src/core, one at a time, and has the simulation look for it:
// docs/simulation.md. A fault that is neither found within a minute nor by a kept program, or that does not fit the sources any more, is a failure.
// A program that fails without the fault as well does not find it.
//
// `--only NAME,NAME` tries some of them, `--seconds N` and `--seed N` are for each (60 and 1 by default). `--check` only
// compiles them.

import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import process from 'node:process'

import { must, option, requireCargo, run } from './simulate/cargo.js'
import { mutants, mutated } from './simulate/mutants.js'
import { ROOT } from './targets.js'

requireCargo()
const FOLDER = `${ROOT}.cache/mutants`
const TREE = `${FOLDER}/tree`
const PROGRAM = `${FOLDER}/target/release/simulation`
const SOUND = `${FOLDER}/sound`
/** Compiling takes longer than finding. */
const ENVIRONMENT = {
  ...process.env,
  CARGO_TARGET_DIR: `${FOLDER}/target`,
  CARGO_INCREMENTAL: '1',
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
  // Code that a fault leaves without a use is no error.
  RUSTFLAGS: '--cap-lints=allow',
}
/** How long a search may take beyond its time: for shrinking. */
const GRACE_SECONDS = 60

const isCheck = process.argv.includes('--check')
const seconds = Number(option('--seconds', '60'))
const seed = Number(option('--seed', '1'))
const only = option('--only')?.split(',')
const chosen = mutants().filter(({ name }) => only === undefined || only.includes(name))
if (chosen.length === 0) stop(`--only must name some of ${mutants().map(({ name }) => name)}`)

copyTree()
const isSound = isCheck || examineSound()
const failed = chosen.map((mutant) => tried(mutant)).filter((good) => !good).length
console.log(`${chosen.length - failed} of ${chosen.length} faults ${isCheck ? 'compile' : 'are found'}`)
process.exitCode = isSound && failed === 0 ? 0 : 1

function copyTree() {
  rmSync(TREE, { recursive: true, force: true })
  mkdirSync(TREE, { recursive: true })
  for (const path of ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'simulation'])
    cpSync(ROOT + path, `${TREE}/${path}`, { recursive: true })
}

/** Whether nothing is found where there is no fault. */
function examineSound() {
  must('cargo', ['build', '--release', '--quiet', '--locked', '-p', 'simulation'], { cwd: TREE, env: ENVIRONMENT })
  copyFileSync(PROGRAM, SOUND)
  const { code, output } = search(SOUND, 10, seed)
  return say(code === 0, { name: 'no fault' }, output.split('\n')[0])
}

/** Whether a fault is found. */
function tried(mutant) {
  const file = `${TREE}/${mutant.path}`
  const source = readFileSync(file, 'utf8')
  const faulty = mutated(source, mutant)
  if (faulty === undefined) return say(false, mutant, `does not fit ${mutant.path} any more`)
  writeFileSync(file, faulty)
  try {
    const command = isCheck ? 'check' : 'build'
    const built = run('cargo', [command, '--release', '--quiet', '--locked', '-p', 'simulation'], {
      cwd: TREE,
      env: ENVIRONMENT,
    })
    if (built.status !== 0) return say(false, mutant, `does not compile\n${built.stderr}`)
    return isCheck ? say(true, mutant, 'compiles') : found(mutant)
  } finally {
    writeFileSync(file, source)
  }
}

function found(mutant) {
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1000
  for (let from = seed; elapsed() < seconds;) {
    const before = elapsed()
    const { code, output } = search(PROGRAM, Math.ceil(seconds - before), from)
    writeFileSync(`${FOLDER}/${mutant.name}.txt`, output)
    if (code === 0) break
    const [, at, after, why] = /^seed (\d+) fails after ([\d.]+) s: (.*)$/m.exec(output) ?? []
    const [, steps, program] = /^shrunk to (\d+) steps:\n\n(.*?)\n\n/ms.exec(output) ?? []
    if (program === undefined)
      return say(false, mutant, `ended without a shrunk program, by ${code ?? 'the time limit'}`)
    const file = `${FOLDER}/${mutant.name}.program`
    writeFileSync(file, `# ${mutant.description}\n# Seed ${at}: ${why}\n${program}\n`)
    if (run(SOUND, ['--program', file]).status === 0)
      return say(true, mutant, `found in ${(before + Number(after)).toFixed(1)} s, seed ${at}, ${steps} steps: ${why}`)
    from = Number(at) + 1
  }
  // What takes minutes of random programs has been found once, and its program is kept.
  const program = keptPrograms().find((file) => run(PROGRAM, ['--program', file]).status === 1)
  if (program !== undefined) return say(true, mutant, `found by the kept program ${basename(program)}`)
  return say(false, mutant, `not found in ${seconds} s, nor by a kept program`)
}

function keptPrograms() {
  const folder = `${TREE}/simulation/programs`
  return readdirSync(folder).map((name) => `${folder}/${name}`)
}

function search(program, limit, from) {
  const { status, stdout, stderr } = run(program, ['--seconds', String(limit), '--seed', String(from)], {
    timeout: (limit + GRACE_SECONDS) * 1000,
  })
  return { code: status, output: stdout + stderr }
}

function say(good, { name }, what) {
  console.log(`${good ? 'ok    ' : 'FAILED'}  ${name}: ${what}`)
  return good
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
