// Builds every binary that this machine can make into npm/*/, and says which it cannot and why.
// `--only TRIPLE` builds one; `--require` fails when one is left out.
//
// The linkers and glibc 2.17 come from npm's @napi-rs/cross-toolchain packages. A target's standard library comes from rustup,
// else from Debian: rustc-web has both glibc ones, and rust-web-src the sources of the musl ones.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import process from 'node:process'

import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

/** GCC 10 and the headers and libraries of glibc 2.17, for an x64 host. */
const TOOLCHAINS = { x86_64: '1.0.0', aarch64: '1.0.3' }
const DEBIAN_RUSTC = '/usr/bin/rustc'

/** What this machine lacks for a target. */
class Missing extends Error {}

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined
const wanted = TARGETS.filter(({ triple }) => only === undefined || triple === only)
if (wanted.length === 0) stop(`--only takes one of ${TARGETS.map(({ triple }) => triple).join(', ')}`)

const skipped = []
for (const target of wanted) {
  try {
    build(target, standardLibrary(target))
    console.log(`built    ${target.path} (${statSync(target.path).size} bytes)`)
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    skipped.push(target)
    rmSync(target.path, { force: true }) // what an older source made must not be packed
    console.log(`skipped  ${target.path}: ${error.message}`)
  }
}
console.log(`${wanted.length - skipped.length} built, ${skipped.length} skipped`)
if (process.argv.includes('--require') && skipped.length > 0) process.exit(1)

function build(target, { args, env, flags }) {
  const { triple, arch, abi, path } = target
  const linker = toolchain(target)
  const rustflags = abi === 'musl' ? [...flags, ...muslFlags(arch)] : flags
  const upper = triple.toUpperCase().replaceAll('-', '_')
  process.stderr.write(`building ${triple}\n`)
  run('cargo', ['build', '--release', '--locked', '--lib', '--target', triple, ...args], {
    [`CARGO_TARGET_${upper}_LINKER`]: linker,
    [`CARGO_TARGET_${upper}_RUSTFLAGS`]: rustflags.join(' '),
    ...env,
  })
  // Renamed over the old one: a process that has it mapped keeps its own.
  copyFileSync(`target/${triple}/release/libm_socket.so`, `${path}.new`)
  renameSync(`${path}.new`, path)
}

/** Where the standard library of a target comes from: rustup, Debian's compiler, or Debian's sources of it. */
function standardLibrary({ triple, abi }) {
  if (hasLibrary('rustc', triple)) return { args: [], env: {}, flags: [] }
  if (abi === 'gnu') {
    if (hasLibrary(DEBIAN_RUSTC, triple)) return { args: [], env: { RUSTC: DEBIAN_RUSTC }, flags: [] }
    throw new Missing(
      `no standard library: rustup target add ${triple}, or Debian's rustc-web and libstd-rust-web-dev:arm64`,
    )
  }
  const sysroot = printed(DEBIAN_RUSTC, ['--print', 'sysroot'])
  if (sysroot === undefined || !existsSync(`${sysroot}/lib/rustlib/src/rust/library/std`)) {
    throw new Missing(`no standard library: rustup target add ${triple}, or Debian's rustc-web and rust-web-src`)
  }
  const env = { RUSTC: DEBIAN_RUSTC, RUSTC_BOOTSTRAP: '1' }
  return { args: ['-Zbuild-std=std,panic_unwind'], env, flags: [] }
}

/** A musl that is linked to at run time, as an addon's process has it; its folder comes before glibc's for `-lc`, and has every symbol. */
function muslFlags(arch) {
  const folder = `/usr/lib/${arch}-linux-musl`
  if (!existsSync(`${folder}/libc.so`))
    throw new Missing(`${folder}/libc.so is missing: Debian's musl-dev${arch === 'aarch64' ? ':arm64' : ''}`)
  return [
    '-Ctarget-feature=-crt-static',
    '-Clink-self-contained=no',
    '-Clink-arg=-nostdlib',
    '-Clink-arg=-Wl,-z,defs',
    `-Lnative=${folder}`,
  ]
}

/** The path of the linker, fetched when it is not there yet. */
function toolchain({ arch, cpu, abi }) {
  const linker = `${ROOT}.cache/cross/${arch}/bin/${arch}-unknown-linux-gnu-gcc`
  if (existsSync(linker)) return linker
  if (process.arch !== 'x64') {
    // With musl nothing of the system's own compiler goes in but libgcc_s, which is the same.
    if (abi === 'musl' && cpu === process.arch) return 'cc'
    throw new Missing('the cross toolchains run on x64')
  }
  const name = `@napi-rs/cross-toolchain-x64-target-${arch}`
  const folder = `.cache/cross/${arch}`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(`${folder}.part`, { recursive: true })
  process.stderr.write(`fetching ${name}\n`)
  run('npm', [
    'install',
    '--silent',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-save',
    '--prefix',
    `${folder}.part`,
    `${name}@${TOOLCHAINS[arch]}`,
  ])
  run('tar', ['xJf', `${folder}.part/node_modules/${name}/${arch}-unknown-linux-gnu.tar.xz`, '-C', `${folder}.part`])
  rmSync(`${folder}.part/node_modules`, { recursive: true })
  renameSync(`${folder}.part`, folder)
  return linker
}

function hasLibrary(rustc, triple) {
  const folder = printed(rustc, ['--print', 'target-libdir', '--target', triple])
  return folder !== undefined && existsSync(folder)
}

function printed(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

/** Runs quietly: what a tool prints is shown only when it fails. */
function run(command, args, env = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    env: { ...process.env, ...env },
  })
  if (error?.code === 'ENOENT') throw new Missing(`${command} is missing`)
  if (status !== 0) stop(`${stdout}${stderr}${command} ${args.join(' ')} failed`)
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
