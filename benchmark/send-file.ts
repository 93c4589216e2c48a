// A file of 500 MB by HTTP to curl(1): sendFile, createReadStream().pipe() of node:net, and nginx with `sendfile on`, in
// turn. CPU of the server where the file is in the page cache, and the delay of Node's loop where it is not.
//
// node --import ./scripts/typescript/register.js benchmark/send-file.ts [ROUNDS [MEGABYTES]]

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { SERVERS, buildServers } from './build.js'
import { Child } from './child.js'
import { onLoadCore, onServerCore } from './cores.js'
import { cpuOf } from './cpu.js'
import { machine } from './machine.js'
import { spreadOf } from './statistics.js'

const rounds = Number(process.argv[2] ?? 7)
const size = Number(process.argv[3] ?? 500) * 1e6

/** A server that runs. */
interface Server {
  readonly name: string
  readonly port: number
  readonly child: Child
}

buildServers()
/** What is to be ended. */
const children: Child[] = []
const folder = mkdtempSync(join(tmpdir(), 'm-socket-'))
const file = join(folder, 'file')
try {
  make(file)
  const servers = [await node('send-file'), await node('pipe'), ...(await nginx())]
  const cpu = await cached(servers)
  const delays = await cold([...servers.slice(0, 2), await node('wait')])
  const results = { date: new Date().toISOString().slice(0, 10), machine: machine(), size, cpu, delays }
  writeFileSync(fileURLToPath(new URL('results/send-file.json', import.meta.url)), `${JSON.stringify(results)}\n`)
} finally {
  for (const child of children) {
    child.interrupt()
    await child.end()
  }
  rmSync(folder, { recursive: true })
}
process.exit()

/** Random bytes, so that no disk compresses them. */
function make(path: string): void {
  run('dd', [
    'if=/dev/urandom',
    `of=${path}`,
    'bs=1M',
    `count=${size}`,
    'iflag=count_bytes',
    'conv=fsync',
    'status=none',
  ])
}

async function node(mode: string): Promise<Server> {
  const child = started([process.execPath, `${SERVERS}send-file.js`, file, mode])
  return { name: mode, port: Number(await child.line()), child }
}

/** None where it is not installed. */
async function nginx(): Promise<Server[]> {
  if (spawnSync('nginx', ['-v']).error) return []
  const port = await freePort()
  const configuration = `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr;
    events {}
    http {
      access_log off; sendfile on; types {}
      client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
      uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
      server { listen 127.0.0.1:${port}; root ${folder}; }
    }`
  writeFileSync(`${folder}/nginx.conf`, configuration)
  const child = started(['nginx', '-c', `${folder}/nginx.conf`])
  for (let tries = 0; !existsSync(`${folder}/pid`); tries++) {
    if (tries === 100) throw new Error('nginx does not start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return [{ name: 'nginx', port, child }]
}

function started(command: readonly string[]): Child {
  const child = new Child(onServerCore(command))
  children.push(child)
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function download({ port }: Server): void {
  const format = '%{http_code} %{size_download}'
  const args = ['-s', '-o', '/dev/null', '-w', format, `http://127.0.0.1:${port}/file`]
  const got = run(...(onLoadCore(['curl', ...args]) as [string, ...string[]]))
  if (got !== `200 ${size}`) throw new Error(`curl: ${got}`)
}

/** Seconds of CPU a GiB, by server: each sample is of one download. */
async function cached(servers: readonly Server[]): Promise<Record<string, number[]>> {
  const seconds = Object.fromEntries(servers.map(({ name }) => [name, [] as number[]]))
  for (let round = -1; round < rounds; round++) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      const before = cpuOf(server.child.pid).total
      download(server)
      const used = (cpuOf(server.child.pid).total - before) / 1e9 / (size / 2 ** 30)
      // The first round warms up.
      if (round >= 0) seconds[server.name]!.push(used)
    }
  }
  const own = seconds['send-file']!
  for (const [name, samples] of Object.entries(seconds)) {
    const { median, low, high } = spreadOf(samples)
    const ratio = spreadOf(samples.map((sample, round) => own[round]! / sample))
    const of = `send-file takes ${ratio.median.toFixed(2)} (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}) of it`
    console.log(`${name}: ${median.toFixed(3)} s a GiB (${low.toFixed(3)} to ${high.toFixed(3)}); ${of}`)
  }
  return seconds
}

/** The median, the 99th percentile and the maximum of the loop's delay while a file that is not in the page cache is sent. */
async function cold(servers: readonly Server[]): Promise<Record<string, number[][]>> {
  const delays: Record<string, number[][]> = Object.fromEntries(servers.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
      run('dd', [`if=${file}`, 'of=/dev/null', 'iflag=nocache', 'count=0', 'status=none'])
      await server.child.ask('delay')
      const start = performance.now()
      download(server)
      const [median, high, most] = await server.child.ask<number[]>('delay')
      const seconds = (performance.now() - start) / 1000
      delays[server.name]!.push([median!, high!, most!, seconds])
    }
  }
  for (const [name, samples] of Object.entries(delays)) {
    const [median, high, most, seconds] = [0, 1, 2, 3].map((at) => spreadOf(samples.map((sample) => sample[at]!)))
    const worst = `p99 ${high!.median.toFixed(1)} ms (at most ${high!.high.toFixed(1)}), maximum ${most!.high.toFixed(1)} ms`
    console.log(`${name}, cold: median ${median!.median.toFixed(1)} ms, ${worst}, ${seconds!.median.toFixed(2)} s`)
  }
  return delays
}

function run(command: string, args: string[]): string
function run(command: string, ...args: string[]): string
function run(command: string, ...rest: (string | string[])[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, rest.flat(), { encoding: 'utf8' })
  if (error || status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`)
  return stdout
}
