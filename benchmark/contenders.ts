// The contenders of the benchmark, and how each is started.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { BARE, SERVERS } from './build.js'
import type { Mode } from './workloads.js'

export interface Contender {
  readonly name: string
  /** A description, with the version. */
  readonly title: string
  /** The command that starts it. `flags` are flags of V8, for runtimes that have V8. */
  command(mode: Mode, flags?: readonly string[]): string[]
  /** Takes part in the short run too. */
  readonly short: boolean
  readonly runtime: 'native' | 'node' | 'bun' | 'deno'
}

const root = fileURLToPath(new URL('..', import.meta.url))
const servers = fileURLToPath(new URL('servers/', import.meta.url))
const modules = `${root}.cache/contenders/node_modules/`

const ARCH = process.arch === 'arm64' ? { bun: 'aarch64', deno: 'arm64' } : { bun: 'x64', deno: 'x64' }
const BUN = { name: `@oven/bun-linux-${ARCH.bun}`, program: 'bin/bun' }
const DENO = { name: `@deno/linux-${ARCH.deno}-glibc`, program: 'deno' }

const bare: Contender = {
  name: 'bare',
  title: 'bare epoll loop (Rust)',
  command: (mode) => [BARE, mode],
  short: true,
  runtime: 'native',
}

/** Contenders that run on Node. */
const ON_NODE = [
  { name: 'wait-sync', title: 'm-socket, waitSync loop', program: 'wait-sync.js', short: true, everyNode: false },
  {
    name: 'spinning',
    title: 'm-socket, waitSync loop that spins',
    program: 'wait-sync.js --spin',
    short: false,
    everyNode: false,
  },
  {
    name: 'multiplexer',
    title: 'm-socket, asynchronous multiplexer',
    program: 'multiplexer.js',
    short: true,
    everyNode: false,
  },
  { name: 'handlers', title: 'm-socket, handlers', program: 'handlers.js', short: true, everyNode: true },
  {
    name: 'borrowed',
    title: 'm-socket, handlers with receiveInto',
    program: 'handlers.js --borrowed',
    short: true,
    everyNode: false,
  },
  { name: 'm-socket/net', title: 'm-socket/net', program: 'net.js --own', short: true, everyNode: false },
  {
    name: 'm-socket/net-pipe',
    title: 'm-socket/net and pipe()',
    program: 'net.js --own --pipe',
    short: false,
    everyNode: false,
  },
  { name: 'net', title: 'node:net', program: 'net.js', short: true, everyNode: true },
  { name: 'net-pipe', title: 'node:net and pipe()', program: 'net.js --pipe', short: false, everyNode: false },
]

/** The contenders that can be started, and the reasons why the others cannot. */
export function contenders(full: boolean): { present: Contender[]; absent: string[] } {
  const absent: string[] = []
  const present = [bare, ...ON_NODE.map((entry) => onNode(entry, process.execPath, ''))]
  for (const node of otherNodes()) {
    for (const entry of ON_NODE)
      if (entry.everyNode) present.push({ ...onNode(entry, node, `@${versionOf(node).split('.')[0]}`), short: false })
  }
  if (full) install(absent)
  for (const [name, of, flags] of [
    ['bun', BUN, bunFlags],
    ['deno', DENO, denoFlags],
  ] as const) {
    const program = find(name, of)
    if (program) present.push(onOther(name, program, flags))
    else
      absent.push(`${name}: neither on the PATH nor in .cache/contenders (--full installs the npm package ${of.name})`)
  }
  return { present, absent }
}

function onNode({ name, title, program, short }: (typeof ON_NODE)[number], node: string, suffix: string): Contender {
  const [file, ...options] = program.split(' ') as [string, ...string[]]
  return {
    name: name + suffix,
    title: `${title}, Node ${versionOf(node)}`,
    command: (mode, flags = []) => {
      const [program, ...rest] = programOf(mode, name, [file, mode, ...options])
      return [node, '--expose-gc', ...flags, SERVERS + program, ...rest]
    },
    short,
    runtime: 'node',
  }
}

/** Some modes have a program of their own. */
function programOf(mode: Mode, name: string, usual: string[]): string[] {
  if (mode === 'redis') return ['redis.js', ...(name === 'net' ? ['--net'] : [])]
  const options = name === 'net' ? [] : ['--own']
  if (mode === 'http' || mode === 'https') return ['web.js', mode, ...options]
  if (mode === 'tls-sink' || mode === 'tls-source') return ['web.js', 'tls', mode.slice('tls-'.length), ...options]
  return usual
}

function bunFlags(): string[] {
  return []
}

function denoFlags(flags: readonly string[]): string[] {
  return ['run', '--allow-all', '--unstable-sloppy-imports', `--v8-flags=${['--expose-gc', ...flags].join(',')}`]
}

function onOther(name: 'bun' | 'deno', program: string, flagsFor: (flags: readonly string[]) => string[]): Contender {
  const title = `${name === 'bun' ? 'Bun.listen, Bun' : 'Deno.listen, Deno'} ${versionOf(program)}`
  return {
    name,
    title,
    command: (mode, flags = []) => [program, ...flagsFor(flags), `${servers}${name}.ts`, mode],
    short: true,
    runtime: name,
  }
}

function find(name: string, { name: folder, program }: typeof BUN): string | undefined {
  const installed = `${modules}${folder}/${program}`
  if (existsSync(installed)) return installed
  return spawnSync(name, ['--version']).error ? undefined : name
}

/**
 * Installs the platform packages, which contain the programs. `bun` and `deno` only select one in an install script.
 */
function install(absent: string[]): void {
  const missing = [
    ['bun', BUN],
    ['deno', DENO],
  ] as const
  const packages = missing.filter(([name, of]) => !find(name, of)).map(([, { name }]) => name)
  if (packages.length === 0) return
  const folder = `${root}.cache/contenders`
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/package.json`, '{ "private": true }\n')
  const { status } = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], {
    cwd: folder,
    stdio: 'ignore',
  })
  if (status !== 0) absent.push(`npm install ${packages.join(' ')} failed`)
}

/** Versions of Node other than the running one, where .ci/run installs them. */
function otherNodes(): string[] {
  const cache = `${root}.cache/`
  if (!existsSync(cache)) return []
  return readdirSync(cache)
    .filter((name) => name.startsWith('node-'))
    .flatMap((name) => [
      `${cache}${name}/node_modules/node/bin/node`,
      `${cache}${name}/node_modules/node-linux-${process.arch}/bin/node`,
    ])
    .filter((path) => existsSync(path) && versionOf(path) !== versionOf(process.execPath))
}

const versions = new Map<string, string>()

function versionOf(program: string): string {
  let version = versions.get(program)
  if (version === undefined) {
    version =
      /\d+\.\d+\.\d+/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'of unknown version'
    versions.set(program, version)
  }
  return version
}
