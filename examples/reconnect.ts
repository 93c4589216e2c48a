// A client that stays connected: what comes is printed, lines from standard input are sent. Try: --port 5001 with chat.ts

import { EventEmitter, once } from 'node:events'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { type Connection, connect } from 'm-socket'

import { LineSplitter } from './line-splitter.js'
import { exit, orExit, placeFrom } from './program.js'

/** Milliseconds: of an attempt, at most; of a connection that counts as a success; of a graceful end, at most. */
const ATTEMPT = 5000
const STABLE = 5000
const GRACE = 900
/** Bytes of a line. */
const LIMIT = 65536

const { place, shortest, longest } = orExit('reconnect', settings)
const stop = new AbortController()
/** Says `change` when there is a connection, or room on it. */
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
  return { place: placeFrom(values, { hostname: '127.0.0.1', port: 5001 }), shortest, longest }
}

async function stayConnected(): Promise<void> {
  for (let failures = 0; !stop.signal.aborted; failures++) {
    const began = performance.now()
    const error = await converse().catch((reason: Error) => reason)
    if (stop.signal.aborted) return
    if (error instanceof TypeError || error instanceof RangeError) exit('reconnect', error)
    if (performance.now() - began >= ATTEMPT + STABLE) failures = 0
    const delay = delayAfter(failures)
    console.error(`${error?.message ?? 'The server has ended'}: again in ${Math.ceil(delay)} ms`)
    await sleep(delay, undefined, { signal: stop.signal }).catch(() => {})
  }
}

/** From connecting to the end of the connection. */
async function converse(): Promise<Error | undefined> {
  let close!: (from: Connection, error?: Error) => void
  const closed = new Promise<Error | undefined>((resolve) => (close = (_from, error) => resolve(error)))
  const socket = { data: print, drain: changed, close }
  connection = await connect({ ...place, connectTimeout: ATTEMPT, signal: stop.signal, socket })
  console.error(`Connected to ${connection.remoteAddress} port ${connection.remotePort}`)
  changed()
  return closed
}

/** Twice as long each time, up to a bound, less a random part, lest all clients of a server come back at once. */
function delayAfter(failures: number): number {
  return Math.min(longest, shortest * 2 ** failures) * (0.5 + Math.random() / 2)
}

/** Who reads slowly from us makes us read slowly. */
function print(from: Connection, chunk: Buffer): void {
  if (process.stdout.write(chunk)) return
  from.pause()
  process.stdout.once('drain', () => from.resume())
}

function changed(): void {
  changes.emit('change')
}

/** A line at a time: while it cannot be sent, the others stay where they come from. */
async function sendLines(): Promise<void> {
  const lines = new LineSplitter(LIMIT)
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) await sendAll(lines.push(chunk))
    await sendAll(lines.end())
  } catch (error) {
    // Interrupted: a destroyed stream says so by throwing.
    if (!stop.signal.aborted) throw error
  }
  // The answers may still come, unless there is nobody to give them.
  stop.abort()
  connection?.end()
}

async function sendAll(lines: Iterable<string | null>): Promise<void> {
  for (const line of lines) {
    if (line === null) console.error(`A line has at most ${LIMIT} bytes`)
    else await send(Buffer.from(`${line}\n`))
  }
}

/**
 * Sends a line whole: on the next connection, if this one breaks within it. What the kernel has taken is lost when the
 * connection breaks before the peer has it; only an answer of the peer's could tell.
 */
async function send(line: Buffer): Promise<void> {
  let to: Connection | undefined
  for (let sent = 0; ;) {
    if (to !== connection) sent = 0
    to = connection
    sent += Math.max(0, to?.write(line, sent) ?? 0)
    if (sent === line.length) return
    await once(changes, 'change', { signal: stop.signal })
  }
}

function interrupt(): void {
  stop.abort()
  process.stdin.destroy()
  connection?.end()
  setTimeout(() => connection?.terminate(), GRACE).unref()
}
