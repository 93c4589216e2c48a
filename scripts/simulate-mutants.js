// Puts each fault of simulation/mutants into a copy of src/core, one at a time, and has the simulation look for it:
// docs/simulation.md. A fault that is not found within a minute, or that does not fit the sources any more, is a failure,
// and so is one whose shrunk program fails without it.
//
// `--only NAME,NAME` tries some of them, `--seconds N` and `--seed N` are for each (60 and 1 by default). `--check` only
// compiles them.

import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
const seed = option('--seed', '1')
const only = option('--only')?.split(',')
const chosen = mutants().filter(({ name }) => only === undefined || only.includes(name))
if (chosen.length === 0) stop(`--only must name some of ${mutants().map(({ name }) => name)}`)

copyTree()
if (!isCheck) examineSound()
const failed = chosen.map((mutant) => tried(mutant)).filter((good) => !good).length
console.log(`${chosen.length - failed} of ${chosen.length} faults ${isCheck ? 'compile' : 'are found'}`)
process.exitCode = failed === 0 ? 0 : 1

function copyTree() {
  rmSync(TREE, { recursive: true, force: true })
  mkdirSync(TREE, { recursive: true })
  for (const path of ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'simulation'])
    cpSync(ROOT + path, `${TREE}/${path}`, { recursive: true })
}

/** Without a fault nothing is found. */
function examineSound() {
  must('cargo', ['build', '--release', '--quiet', '--locked', '-p', 'simulation'], { cwd: TREE, env: ENVIRONMENT })
  copyFileSync(PROGRAM, SOUND)
  const { code, output } = search(10)
  if (code !== 0) stop(`${output}without a fault the simulation fails: the faults prove nothing`)
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
  const { code, output } = search(seconds)
  writeFileSync(`${FOLDER}/${mutant.name}.txt`, output)
  if (code === 0) return say(false, mutant, `not found in ${seconds} s`)
  const [, at, took, why] = /^seed (\d+) fails after ([\d.]+) s: (.*)$/m.exec(output) ?? []
  const [, steps, program] = /^shrunk to (\d+) steps:\n\n(.*?)\n\n/ms.exec(output) ?? []
  if (program === undefined)
    return say(false, mutant, `the simulation ended without a shrunk program, by ${code ?? 'the time limit'}`)
  const file = `${FOLDER}/${mutant.name}.program`
  writeFileSync(file, `# ${mutant.description}\n# Seed ${at}: ${why}\n${program}\n`)
  if (run(SOUND, ['--program', file]).status !== 0) return say(false, mutant, `${file} fails without the fault as well`)
  return say(true, mutant, `found in ${took} s, seed ${at}, ${steps} steps: ${why}`)
}

function search(limit) {
  const { status, stdout, stderr } = run(PROGRAM, ['--seconds', String(limit), '--seed', seed], {
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
