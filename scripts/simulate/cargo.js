// What the scripts of the simulation have in common.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'

import { ROOT } from '../targets.js'

/** Stops with the message of scripts/setup.js where Rust is not installed. */
export function requireCargo() {
  if (!spawnSync('cargo', ['--version']).error) return
  const version = /^rust-version = "(.*)"$/m.exec(readFileSync(`${ROOT}Cargo.toml`, 'utf8'))[1]
  process.stderr.write(`cargo is missing: install Rust ${version} or later, see rustup.rs\n`)
  process.exit(1)
}

/** The value of an option of this script, or `otherwise`. */
export function option(name, otherwise) {
  const at = process.argv.indexOf(name)
  return at === -1 ? otherwise : process.argv[at + 1]
}

/** Runs a command, and returns its exit code and output. */
export function run(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    ...options,
  })
  return {
    status: error?.code === 'ENOENT' ? 127 : status,
    stdout: stdout ?? '',
    stderr: error ? String(error) : stderr,
  }
}

/** As `run`, but a failure stops the script. */
export function must(command, args, options) {
  const { status, stdout, stderr } = run(command, args, options)
  if (status === 0) return stdout
  process.stderr.write(`${stdout}${stderr}${command} ${args.join(' ')} failed\n`)
  process.exit(1)
}
