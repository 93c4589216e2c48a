// Prints what every packed binary requires of a system, as its ELF headers state, and fails if that exceeds the limits.
// `--require` also fails if a binary is missing.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import process from 'node:process'

import { ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

/** The newest version of glibc that a binary may require. CentOS 7 has 2.17, Amazon Linux 2 has 2.26. */
const GLIBC = [2, 17]
const LIMIT = 1024 * 1024
const NEEDED = /^(libc\.so(\.6)?|lib(gcc_s|m|dl|pthread|rt)\.so(\.\d+)?|ld-linux-(x86-64\.so\.2|aarch64\.so\.1))$/
const MACHINES = { x64: 'Advanced Micro Devices X86-64', arm64: 'AArch64' }

const problems = []
const rows = TARGETS.filter(({ path }) => existsSync(path)).map(row)
const missing = TARGETS.filter(({ path }) => !existsSync(path))

print([['binary', 'bytes', 'highest GLIBC', 'NODELETE', 'stripped', 'NEEDED'], ...rows])
if (!/^lto = true$/m.test(readFileSync('Cargo.toml', 'utf8')))
  problems.push('Cargo.toml: the release profile has no link-time optimisation')
for (const { path } of missing) {
  console.log(`${path} is not built`)
  if (process.argv.includes('--require')) problems.push(`${path} is missing`)
}
if (rows.length === 0) problems.push('no binary is built: npm run build:all')
for (const problem of problems) console.log(`FAILED  ${problem}`)
console.log(`${rows.length} binaries inspected, ${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)

function row({ path, file, cpu, abi }) {
  const dynamic = readelf('--dynamic', path)
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name)
  const glibc = [...readelf('--version-info', path).matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => [
    +major,
    +minor,
  ])
  const highest = glibc.toSorted(newer).at(0)
  const nodelete = /\(FLAGS_1\).*NODELETE/.test(dynamic)
  const stripped = !/\.symtab/.test(readelf('--sections', path))
  const bytes = statSync(path).size
  const flag = (wrong, what) => wrong && problems.push(`${file} ${what}`)

  flag(!readelf('--file-header', path).includes(MACHINES[cpu]), `is not for ${cpu}`)
  flag(abi === 'gnu' && highest === undefined, 'requires no version of glibc')
  flag(
    abi === 'gnu' && highest !== undefined && newer(highest, GLIBC) < 0,
    `requires glibc ${highest?.join('.')}, above ${GLIBC.join('.')}`,
  )
  flag(abi === 'musl' && highest !== undefined, `requires glibc ${highest?.join('.')}`)
  // musl never unmaps a library, so dlclose(3) is harmless there.
  flag(abi === 'gnu' && !nodelete, 'lacks -z nodelete: the end of a worker would unmap it')
  flag(!stripped, 'is not stripped')
  flag(bytes > LIMIT, `is larger than ${LIMIT} bytes`)
  for (const name of needed) flag(!NEEDED.test(name), `needs ${name}`)
  return [
    file,
    String(bytes),
    highest?.join('.') ?? '-',
    nodelete ? 'yes' : 'no',
    stripped ? 'yes' : 'no',
    needed.join(' '),
  ]
}

function newer([major, minor], [otherMajor, otherMinor]) {
  return otherMajor - major || otherMinor - minor
}

function readelf(what, path) {
  const { status, error, stdout } = spawnSync('readelf', ['--wide', what, path], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (error ?? status !== 0) throw new Error(`readelf cannot read ${path}: install binutils`, { cause: error })
  return stdout
}

function print(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((cells) => cells[column].length)))
  for (const cells of table)
    console.log(
      cells
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
}
