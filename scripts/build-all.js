// Builds every binary that this machine can build, into npm/*/, and prints which ones it skips and why.
// `--only TRIPLE` builds one; `--require` fails if one is skipped.
//
// The linkers and glibc 2.17 come from the npm packages @napi-rs/cross-toolchain-*. The standard library of a target
// comes from rustup or else from Debian: rustc-web has both for glibc, rust-web-src the sources for musl.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import process from 'node:process'

import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

/** GCC 10 and the headers and libraries of glibc 2.17, for an x64 host. */
const TOOLCHAINS = { x86_64: '1.0.0', aarch64: '1.0.3' }
const DEBIAN_RUSTC = '/usr/bin/rustc'

/** Something that a target needs is not installed. */
class Missing extends Error {}

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined
const wanted = TARGETS.filter(({ triple }) => only === undefined || triple === only)
if (wanted.length === 0) stop(`--only must be one of ${TARGETS.map(({ triple }) => triple).join(', ')}`)

const skipped = []
for (const target of wanted) {
  try {
    build(target, standardLibrary(target))
    console.log(`built    ${target.path} (${statSync(target.path).size} bytes)`)
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    skipped.push(target)
    rmSync(target.path, { force: true }) // a binary of an older source must not be packed
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
  // rename(2) replaces the file: a process that has the old one mapped keeps it.
  copyFileSync(`target/${triple}/release/libm_socket.so`, `${path}.new`)
  renameSync(`${path}.new`, path)
}

/** Where the standard library of a target comes from: rustup, the compiler of Debian, or the sources of Debian. */
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

/**
 * Links musl dynamically, as an addon needs it. Its folder comes before the one of glibc for `-lc`, and defines every
 * symbol.
 */
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

/** The path of the linker, which is downloaded if it is not installed. */
function toolchain({ arch, cpu, abi }) {
  const linker = `${ROOT}.cache/cross/${arch}/bin/${arch}-unknown-linux-gnu-gcc`
  if (existsSync(linker)) return linker
  if (process.arch !== 'x64') {
    // With musl, the only part of the native compiler that is linked is libgcc_s, which is the same.
    if (abi === 'musl' && cpu === process.arch) return 'cc'
    throw new Missing('the cross toolchains run only on x64')
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

/** Runs a command; its output is shown only if it fails. */
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
