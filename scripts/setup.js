// Builds what is missing or out of date: the npm packages, the addon with its loader and typings, and dist/. `--force`
// builds everything.
//
// npm runs it as `prepare` in a checkout and before it packs one, which is how it installs from git. A package from the
// registry has no sources: nothing is missing there.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const force = process.argv.includes('--force')
const isPrepare = process.env.npm_lifecycle_event === 'prepare'
// The addon is published in a package of its own for each platform.
const isPublished = isPrepare && ['pack', 'publish'].includes(process.env.npm_command)
const needsAddon = process.platform === 'linux' && !isPublished

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

if (!isPrepare && newest('package-lock.json') > newest('node_modules/.package-lock.json')) {
  run('npm packages', 'npm', ['ci', '--no-audit', '--no-fund'])
}
if (needsAddon && (force || newest('src', 'Cargo.toml', 'Cargo.lock', 'build.rs') > newest(...addons()))) {
  if (spawnSync('cargo', ['--version']).error) stop('cargo is missing: install Rust 1.88 or later, see rustup.rs')
  run('addon', process.execPath, ['node_modules/@napi-rs/cli/dist/cli.js', 'build', '--platform', '--esm', '--release'])
}
if (force || newest('lib', 'tsconfig.json', 'index.d.ts') > newest('dist/index.js')) {
  rmSync('dist', { recursive: true, force: true })
  run('dist', process.execPath, ['node_modules/typescript/bin/tsc'])
}

function addons() {
  return readdirSync('.').filter((name) => name.endsWith('.node'))
}

/** The time of the last change to any of the paths; 0 if one is missing or none is given. */
function newest(...paths) {
  const times = paths.map((path) => {
    if (!existsSync(path)) return 0
    const status = statSync(path)
    return status.isDirectory() ? newest(...readdirSync(path).map((name) => `${path}/${name}`)) : status.mtimeMs
  })
  return times.includes(0) ? 0 : Math.max(0, ...times)
}

/** Runs a command; its output is shown only if it fails. */
function run(what, command, args) {
  process.stderr.write(`setting up: ${what}\n`)
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) stop(`${stdout}${stderr}setting up failed: ${what}`)
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
