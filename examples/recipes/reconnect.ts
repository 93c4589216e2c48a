// Sends the lines of standard input, and connects again whenever that is needed: node reconnect.ts HOST PORT
import { EventEmitter, once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, connect } from 'm-socket'

/** Milliseconds: to connect; unacknowledged; until it is a success; between attempts at first, and at most. Lines kept. */
const [CONNECT, LOST, STABLE, FIRST, LONGEST, MOST] = [5000, 20_000, 10_000, 100, 30_000, 1000]
const [host = '127.0.0.1', port = 7000] = process.argv.slice(2)
const options = { host, port, connectTimeout: CONNECT, userTimeout: LOST, keepAlive: { idle: 60_000 } }
const outbox: string[] = [] // what the kernel has not taken yet
const [changes, stop] = [new EventEmitter(), new AbortController()]
let [connection, isInputEnded]: [Connection | undefined, boolean] = [undefined, false]
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt)
await Promise.all([readLines(), stayConnected(stop.signal)])
if (outbox.length > 0) console.error(`${outbox.length} lines were not sent`)

async function readLines(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin, signal: stop.signal })) {
    changes.emit('change', outbox.push(`${line}\n`))
    while (outbox.length >= MOST && !stop.signal.aborted) await once(changes, 'change')
  }
  changes.emit('change', (isInputEnded = true))
}

async function stayConnected(signal: AbortSignal): Promise<void> {
  for (let failures = 0, began = 0; !signal.aborted; failures++) {
    try {
      ;[connection, began] = [undefined, performance.now()]
      connection = await connect({ ...options, signal })
      send(connection).catch(() => {}) // the loop throws the same error
      for await (const chunk of connection) if (!process.stdout.write(chunk)) await once(process.stdout, 'drain')
      throw new Error('the server has ended')
    } catch (error) {
      connection?.end()
      if (signal.aborted || (isInputEnded && outbox.length === 0)) return
      if (connection?.bytesRead || performance.now() - began > STABLE) failures = 0
      const delay = Math.random() * Math.min(LONGEST, FIRST * 2 ** failures) // full jitter
      console.error(`${(error as Error).message}: again in ${delay.toFixed()} ms`)
      await sleep(delay, undefined, { signal }).catch(() => {})
    }
  }
}

async function send(to: Connection): Promise<void> {
  while (to.readyState === 1) {
    const [line] = outbox
    if (line !== undefined) await to.writeAll(line).then(() => to.drained())
    else if (isInputEnded) to.end()
    else await once(changes, 'change')
    if (line !== undefined) changes.emit('change', outbox.shift())
  }
}

function interrupt(): void {
  stop.abort()
  connection?.shutdown('both')
  changes.emit('change')
}
