// relay(): between the peers of the run, and peers on another thread.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { CONNECTIONS, UP } from '../pattern.js'

/** Starts the inner peers: their ports, and what each of them has seen. */
async function prepare() {
  const worker = new Worker(new URL('./relay-worker.js', import.meta.url))
  const [ports] = await once(worker, 'message')
  worker.unref()
  return { ports, worker }
}

async function relays({ library, log, options, prepared: { ports, worker } }) {
  const seen = new Map()
  worker.on('message', (message) => seen.get(message.id)?.(message))
  log.cleanups.push(() => void worker.terminate())
  await Promise.all(
    ports.slice(0, CONNECTIONS).map((port) => {
      const side = log.side()
      const closed = new Promise((resolve) => seen.set(side.id, resolve))
      return relayOne({ library, log, options }, side, port, closed)
    }),
  )
}

async function relayOne({ library, log, options }, side, port, closed) {
  try {
    const outer = library.Socket.connect(options.address)
    log.cleanups.push(() => outer.reset())
    const inner = library.Socket.connect({ host: '127.0.0.1', port })
    log.cleanups.push(() => inner.reset())
    side.open()
    // All that the inner peer sends.
    side.accepted = UP
    await library.relay(outer, inner)
    const { received, isRight, ended } = await closed
    side.checker.received = received
    side.checker.isRight = isRight
    side.ended = ended
    side.close(undefined)
  } catch (error) {
    side.error('reject', error)
    if (side.opened > 0) side.close(error)
  }
}

/** See `SCENARIOS`. */
export const RELAY = {
  relay: { level: 'relay', role: 'client', transports: ['tcp', 'unix'], prepare, run: relays },
}
