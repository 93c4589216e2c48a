// A client that reconnects: prints what it receives, and sends lines from standard input. Try: --port 5001 with chat.ts

import { EventEmitter, once } from 'node:events'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { type Connection, SocketError, connect } from 'm-socket'

import { addressFrom, exit, orExit } from './cli.js'

/**
 * Milliseconds: the limit of an attempt; how long a connection must last to count as a success; the limit of a graceful
 * end.
 */
const ATTEMPT = 5000
const STABLE = 5000
const GRACE = 900
/** Characters per line. */
const LIMIT = 65536

const { address, shortest, longest } = orExit('reconnect', settings)
const stop = new AbortController()
/** Emits `change` when there is another connection. */
const changes = new EventEmitter()
let connection: Connection | undefined

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt)
await Promise.all([stayConnected(), sendLines()])

function settings() {
  const string = { type: 'string' } as const
  const { values } = parseArgs({ options: { host: string, port: string, shortest: string, longest: string } })
  const [shortest, longest] = [Number(values.shortest ?? 100), Number(values.longest ?? 30_000)]
  if (!(shortest > 0 && shortest <= longest))
    throw new RangeError('--shortest and --longest are milliseconds, 0 < shortest <= longest')
  return { address: addressFrom(values, { host: '127.0.0.1', port: 5001 }), shortest, longest }
}

async function stayConnected(): Promise<void> {
  for (let failures = 0; !stop.signal.aborted; failures++) {
    const began = performance.now()
    const error = await connectOnce().catch((reason: Error) => reason)
    if (stop.signal.aborted) return
    if (error instanceof TypeError || error instanceof RangeError) exit('reconnect', error)
    if (performance.now() - began >= ATTEMPT + STABLE) failures = 0
    const delay = delayAfter(failures)
    console.error(`${error?.message ?? 'The server has ended'}: again in ${Math.ceil(delay)} ms`)
    await sleep(delay, undefined, { signal: stop.signal }).catch(() => {})
  }
}

/** Connects, and resolves when the connection has closed. */
async function connectOnce(): Promise<Error | undefined> {
  let close!: (from: Connection, error?: Error) => void
  const closed = new Promise<Error | undefined>((resolve) => (close = (_from, error) => resolve(error)))
  const socket = { data: print, close }
  connection = await connect({ ...address, connectTimeout: ATTEMPT, signal: stop.signal, socket })
  console.error(`Connected to ${connection.remoteAddress} port ${connection.remotePort}`)
  changes.emit('change')
  return closed
}

/**
 * Doubles each time, up to a limit, less a random part, so that the clients of a server do not all come back at once.
 */
function delayAfter(failures: number): number {
  return Math.min(longest, shortest * 2 ** failures) * (0.5 + Math.random() / 2)
}

/** Reads only as fast as standard output is read. */
function print(from: Connection, chunk: Buffer): void {
  if (process.stdout.write(chunk)) return
  from.pause()
  process.stdout.once('drain', () => from.resume())
}

/** One line at a time: while it cannot be sent, standard input is not read. */
async function sendLines(): Promise<void> {
  try {
    for await (const line of standardInput()) {
      if (line.length > LIMIT) console.error(`A line has at most ${LIMIT} characters`)
      else await send(`${line}\n`)
    }
  } catch (error) {
    // After an interrupt: iterating a destroyed stream throws.
    if (!stop.signal.aborted) throw error
  }
  // Do not connect again; an open connection may still receive answers.
  stop.abort()
  connection?.end()
}

async function* standardInput(): AsyncGenerator<string, void, void> {
  let rest = ''
  for await (const text of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + text).split('\n')
    // One character more shows that it is too long.
    rest = lines.pop()!.slice(0, LIMIT + 1)
    yield* lines
  }
  if (rest !== '') yield rest
}

/**
 * Sends a line whole: again on the next connection, if this one breaks within it. What the kernel has taken is lost if
 * the connection breaks before the peer has it; only an answer of the peer could confirm it.
 */
async function send(line: string): Promise<void> {
  for (;;) {
    const to = connection
    try {
      if (to) return await to.writeAll(line)
    } catch (error) {
      if (!(error instanceof SocketError)) throw error
    }
    if (to === connection) await once(changes, 'change', { signal: stop.signal })
  }
}

function interrupt(): void {
  stop.abort()
  process.stdin.destroy()
  connection?.end()
  setTimeout(() => connection?.terminate(), GRACE).unref()
}
