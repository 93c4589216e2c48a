// HAProxy in front of two servers that are restarted in turn, under wrk(1).

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

import { find } from '../consumers/servers/support.js'
import { fixtureArguments } from './fixture.js'
import { freePort } from './ports.js'

/** Milliseconds between the checks of HAProxy. */
const INTERVAL = 500

export interface RollingRestart {
  /** Requests that wrk has counted, all of which were answered by 200. */
  readonly requests: number
  /** Requests that the servers have counted. */
  readonly served: number
  /** Of those, the ones with another client address than HAProxy says. */
  readonly wrong: number
  readonly firstWrong: string | undefined
  /** How many servers were replaced under the load. */
  readonly restarts: number
}

interface Totals {
  requests: number
  wrong: number
  firstWrong: string | undefined
}

/**
 * @param folder for the configuration of HAProxy
 * @throws if a request has failed
 */
export async function rollingRestart(folder: string, connections: number, seconds: number): Promise<RollingRestart> {
  const [front, ...ports] = [freePort(), freePort(), freePort()]
  const total: Totals = { requests: 0, wrong: 0, firstWrong: undefined }
  const servers = await Promise.all(ports.map((port) => Server.start(port)))
  const haproxy = await startHaproxy(folder, front, ports)
  try {
    const load = `--connections ${connections} --duration ${seconds}s --threads 1 --timeout 10s --latency`
    const wrk = spawn('wrk', [...load.split(' '), `http://127.0.0.1:${front}/`])
    const output = text(wrk.stdout)
    let isOver = false
    wrk.once('exit', () => (isOver = true))
    let restarts = 0
    for (; !isOver; restarts++) {
      // The next one stops only when HAProxy knows that all are up again.
      while (!isOver && !(await areUp(folder, servers.length))) await sleep(INTERVAL)
      if (isOver) break
      const index = restarts % servers.length
      add(total, await servers[index]!.stop())
      servers[index] = await Server.start(ports[index]!)
    }
    const requests = requestsOf(await output)
    for (const server of servers) add(total, await server.stop())
    return { requests, served: total.requests, wrong: total.wrong, firstWrong: total.firstWrong, restarts }
  } finally {
    haproxy.kill()
    for (const server of servers) server.kill()
  }
}

/** @throws if one has failed */
function requestsOf(output: string): number {
  const failure = /Socket errors: .*|Non-2xx or 3xx responses: .*/.exec(output)
  if (failure) throw new Error(`wrk: ${failure[0]}`)
  return Number(/(\d+) requests in /.exec(output)?.[1])
}

function add(total: Totals, { requests, wrong, firstWrong }: Totals): void {
  total.requests += requests
  total.wrong += wrong
  total.firstWrong ??= firstWrong
}

/** What HAProxy thinks of its servers: `show stat`, a line of CSV for each. */
async function areUp(folder: string, servers: number): Promise<boolean> {
  const lines = await text(connect(join(folder, 'stats')).end('show stat\n'))
  return lines.split('\n').filter((line) => /^servers,s\d,.*,UP,/.test(line)).length === servers
}

/** A process of the fixture. */
class Server {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  }

  static async start(port: number): Promise<Server> {
    const args = fixtureArguments('rolling-server.ts', port)
    const server = new Server(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    await server.#next()
    return server
  }

  /** Drains it; resolves with what it has counted. */
  async stop(): Promise<Totals> {
    this.#child.kill('SIGTERM')
    const line = await this.#next()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    return JSON.parse(line) as Totals
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the server has ended')
    return value
  }
}

async function startHaproxy(folder: string, front: number, ports: readonly number[]): Promise<ChildProcess> {
  const path = join(folder, 'haproxy.cfg')
  writeFileSync(path, configuration(folder, front, ports))
  const child = spawn(find('haproxy')!, ['-db', '-f', path], { stdio: ['ignore', 'inherit', 'inherit'] })
  for (;;) {
    if (child.exitCode !== null) throw new Error(`haproxy has ended: ${child.exitCode}`)
    const answered = await fetch(`http://127.0.0.1:${front}/`).catch(() => undefined)
    if (answered?.status === 200) return child
    await sleep(50)
  }
}

/**
 * A server that answers its check by 404 gets no new connections, and finishes what it has (disable-on-404). A request
 * that met a closed connection, or a closed port, is sent again, to the other server.
 */
function configuration(folder: string, front: number, ports: readonly number[]): string {
  return `
global
  maxconn 4000
  stats socket ${join(folder, 'stats')}
defaults
  mode http
  timeout connect 5s
  timeout check 5s
  timeout client 30s
  timeout server 30s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
frontend clients
  bind 127.0.0.1:${front} backlog 4000
  http-request set-header X-Client %[src]:%[src_port]
  default_backend servers
backend servers
  balance leastconn
  option httpchk GET /health
  http-check disable-on-404
  default-server send-proxy-v2 check check-send-proxy inter ${INTERVAL}ms fall 3 rise 1
${ports.map((port, index) => `  server s${index} 127.0.0.1:${port}`).join('\n')}
`
}
