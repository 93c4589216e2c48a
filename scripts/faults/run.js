// Runs one scenario under one fault, or without one.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { Peers } from './peers.js'
import { SCENARIOS } from './scenarios.js'
import { Tracer } from './tracer.js'

const PROGRAM = fileURLToPath(new URL('./program.js', import.meta.url))
/** Milliseconds after which the program is killed. Its own patience ends before. */
const LIMIT = 15_000

/**
 * @param {{ scenario: string, transport: 'tcp' | 'unix', lasting?: boolean, warm?: boolean, inject?: string }} what
 *   `inject` as for strace(1); without it, the calls are recorded
 * @returns what the program said, how it ended, the lines of strace(1), and what the peers have seen
 */
export async function run(what) {
  const { scenario, transport, lasting = false, warm = false, inject } = what
  const { role, inherits } = SCENARIOS[scenario]
  const folder = mkdtempSync(join(tmpdir(), 'm-socket-fault-'))
  const peers = new Peers()
  const inherited = await open(peers, role, inherits, transport)
  const options = { transport, lasting, warm, listening: listening(peers, transport), address: inherited.address }
  const stdio = ['pipe', 'pipe', 'pipe', ...(inherited.fd === undefined ? [] : [inherited.fd])]
  const child = spawn(process.execPath, [PROGRAM, scenario, JSON.stringify(options)], { stdio })
  inherited.close()
  const tracer = new Tracer(child.pid, join(folder, 'calls'))
  const said = await follow(child, tracer, inject, () => peers.connect(options.address ?? options.listening))
  await tracer.stop()
  const connections = await peers.close()
  const lines = tracer.lines
  rmSync(folder, { recursive: true, force: true })
  return { ...said, pid: child.pid, lines, peers: connections }
}

let runs = 0

/** Where a server listens: known here, so that getsockname(2) may fail. Each run has an address of its own. */
function listening(peers, transport) {
  if (transport === 'unix') return { path: peers.path }
  runs++
  return { host: `127.${process.pid % 250}.${(runs >> 8) % 250}.${runs & 255}`, port: 20_000 }
}

/** What the program needs from its peers: an address to connect to, or a descriptor to inherit. */
async function open(peers, role, inherits, transport) {
  if (inherits === 'listener') return peers.listeningDescriptor()
  if (role !== 'client') return { close() {} }
  const address = await peers.listen(transport)
  if (inherits !== 'socket') return { address, close() {} }
  const socket = net.connect({ ...address, allowHalfOpen: true }).pause()
  await new Promise((resolve) => socket.once('connect', resolve))
  return { address, fd: socket._handle.fd, close: () => socket.destroy() }
}

/** Reads what the program says until it has ended. */
async function follow(child, tracer, inject, connect) {
  const seen = { result: undefined, nodes: [], stderr: '', isLate: false, failure: undefined }
  const timer = setTimeout(() => {
    seen.isLate = true
    child.kill('SIGKILL')
  }, LIMIT)
  child.stderr.setEncoding('utf8').on('data', (text) => (seen.stderr += text))
  child.stdin.on('error', () => {})
  createInterface({ input: child.stdout }).on('line', async (text) => {
    const line = JSON.parse(text)
    if (line.isListening) return connect()
    if (line.gate === undefined) return (seen.result = line)
    seen.nodes = line.nodes
    try {
      if (line.gate) await tracer.start(inject)
      else await tracer.stop()
    } catch (error) {
      seen.failure = error
      child.kill('SIGKILL')
    }
    child.stdin.write('x')
  })
  const [code, signal] = await new Promise((resolve) => child.on('close', (...how) => resolve(how)))
  clearTimeout(timer)
  if (seen.failure) throw seen.failure
  return { code, signal, ...seen }
}
