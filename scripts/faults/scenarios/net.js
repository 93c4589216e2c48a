// m-socket/net, and Node's own sockets over descriptors of ours.

import { CONNECTIONS } from '../pattern.js'
import { SMALL, converse, dialEach } from './duplex.js'

async function serve({ net, log, options, say }) {
  const conversations = []
  const server = net.createServer({ allowHalfOpen: true, keepAlive: true }, (socket) => {
    conversations.push(converse(log, log.side(), socket))
  })
  log.cleanups.push(() => server.listening && server.close())
  const failed = new Promise((resolve) => {
    server.on('error', (error) => {
      log.thrown('listen', error, 'error')
      resolve()
    })
  })
  server.listen({ ...options.listening, ...SMALL }, () => say({ isListening: true }))
  await Promise.race([log.allSettled(CONNECTIONS), failed])
  await Promise.all(conversations)
  if (server.listening) await new Promise((resolve) => server.close(resolve))
}

async function dial(context) {
  await dialEach(context, (options) => context.net.connect({ ...options, allowHalfOpen: true, noDelay: true }))
}

/** The descriptor passes to Node. */
async function handOver({ library, log, options }) {
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const side = log.side()
      let connection
      try {
        connection = await library.connect({ ...options.address, ...SMALL, socket: {}, allowHalfOpen: true })
        log.cleanups.push(() => connection.terminate())
        await converse(log, side, library.toNetSocket(connection, { allowHalfOpen: true }))
      } catch (error) {
        side.error('reject', error)
      }
    }),
  )
}

const BOTH = ['tcp', 'unix']

/** See `SCENARIOS`. */
export const NET = {
  'net.createServer': { level: 'net', role: 'server', transports: BOTH, run: serve },
  'net.connect': { level: 'net', role: 'client', transports: BOTH, run: dial },
  'toNetSocket of connections': { level: 'net', role: 'client', transports: ['tcp'], usesNode: true, run: handOver },
}
