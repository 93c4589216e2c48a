// Builds the addon with AddressSanitizer, and runs the tests of core and sys, the hammer and the fuzzers on it. The
// sanitizer's runtime is that of gcc, preloaded into Node, so that arrays of JavaScript are watched as well.
// `--seconds N` is for each of the latter, 20 by default.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import process from 'node:process'

import { ROOT } from './targets.js'

process.chdir(ROOT)

const args = process.argv.slice(2)
const seconds = args.includes('--seconds') ? args[args.indexOf('--seconds') + 1] : '20'

const TARGET = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-unknown-linux-gnu`
const FOLDER = '.cache/asan'
/**
 * A copy of the package with the other addon in it. Of NAPI_RS_NATIVE_LIBRARY_PATH the compiler of the tests, which is
 * an addon of napi-rs as well, would be loaded, too.
 */
const PACKAGE = `${ROOT}${FOLDER}/package`
const ADDON = `${PACKAGE}/m-socket.linux-${process.arch}-gnu.node`
/** Leaks are not looked for: V8 frees nothing at its end. The quarantine would be taken for a leak by the hammer. */
const OPTIONS = 'detect_leaks=0:quarantine_size_mb=16:exitcode=66'

const runtime = realpathSync(output('gcc', ['-print-file-name=libasan.so']).trim())
// -Zsanitizer is for nightly compilers; RUSTC_BOOTSTRAP lets the installed one have it.
const rust = { RUSTC_BOOTSTRAP: '1', RUSTFLAGS: '-Zsanitizer=address', ASAN_OPTIONS: OPTIONS }
const cargo = ['--quiet', '--lib', '--target', TARGET, '--target-dir', FOLDER]
run('the addon is built', 'cargo', ['build', ...cargo], rust)
run('core and sys', 'cargo', ['test', ...cargo], rust)
copyPackage()

const node = { LD_PRELOAD: runtime, ASAN_OPTIONS: OPTIONS }
run('Node has the sanitizer, and the addon has been built with it', process.execPath, ['--eval', probe()], node)
const fixture = (name) => [
  '--import',
  './scripts/typescript/register.js',
  '--expose-gc',
  `__test__/support/fixtures/${name}.ts`,
]
for (const name of ['hammer', 'fuzz-native', 'fuzz-api'])
  run(`${name}, ${seconds} s`, process.execPath, [...fixture(name), '--seconds', seconds], node)

function copyPackage() {
  rmSync(PACKAGE, { recursive: true, force: true })
  mkdirSync(PACKAGE, { recursive: true })
  for (const path of [
    'package.json',
    'tsconfig.json',
    'index.js',
    'loadable.js',
    'dist',
    'scripts/typescript',
    '__test__/support',
  ])
    cpSync(path, `${PACKAGE}/${path}`, { recursive: true })
  symlinkSync(`${ROOT}node_modules`, `${PACKAGE}/node_modules`)
  cpSync(`${FOLDER}/${TARGET}/debug/libm_socket.so`, ADDON)
}

/** Fails unless both libraries are mapped; an addon that was not built so has no such symbols. */
function probe() {
  if (!readFileSync(ADDON).includes('__asan_report_store')) throw new Error(`${ADDON} has no checks in it`)
  return `
    import('m-socket').then(() => {
      const maps = fs.readFileSync('/proc/self/maps', 'utf8')
      for (const path of ${JSON.stringify([runtime, ADDON])}) if (!maps.includes(path)) throw new Error(path + ' is not loaded')
    })`
}

function run(title, command, commandArgs, environment) {
  const cwd = command === process.execPath ? PACKAGE : ROOT
  const env = { ...process.env, ...environment }
  const { status, signal } = spawnSync(command, commandArgs, { cwd, env, stdio: 'inherit' })
  console.log(`${status === 0 ? 'ok      ' : 'FAILED  '}${title}${signal ? `: ${signal}` : ''}`)
  if (status !== 0) process.exit(1)
}

function output(command, commandArgs) {
  const { status, stdout, stderr } = spawnSync(command, commandArgs, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout
}
