// Conversations of streams that are like those of node:net.

import { CONNECTIONS, UP } from '../pattern.js'

export const SMALL = { sendBufferSize: 16_384 }

/** Writes the pattern in pieces, notes all events, and resolves when the stream is closed. */
export function converse(log, side, duplex) {
  log.cleanups.push(() => duplex.destroy())
  side.open()
  duplex.on('data', (chunk) => side.data(chunk))
  duplex.on('end', () => side.end())
  duplex.on('error', (error) => side.error('error', error))
  const closed = new Promise((resolve) => {
    duplex.on('close', () => {
      side.close(duplex.errored ?? undefined)
      resolve()
    })
  })
  duplex.cork()
  for (const end of [1000, 2000]) duplex.write(side.bytes.subarray(end - 1000, end))
  duplex.uncork()
  duplex.end(side.bytes.subarray(2000))
  // All that a stream takes is accepted: what does not arrive is an error.
  side.accepted = UP
  return closed
}

/** As many conversations as a run has, each over the stream that `open` makes from the options of a connection. */
export async function dialEach({ log, options }, open) {
  const local = options.transport === 'unix' ? {} : { localAddress: '127.0.0.1' }
  await Promise.all(
    Array.from({ length: CONNECTIONS }, () => {
      const side = log.side()
      try {
        return converse(log, side, open({ ...options.address, ...local, ...SMALL, keepAlive: true }))
      } catch (error) {
        side.error('throw', error)
      }
    }),
  )
}
