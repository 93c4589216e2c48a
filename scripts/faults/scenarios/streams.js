// toDuplex() and toWeb().

import { CONNECTIONS, UP } from '../pattern.js'
import { SMALL, converse, dialEach } from './duplex.js'

async function accept({ library, log, options, say }) {
  const listener = log.attempt('bind', () => library.Listener.bind({ ...options.listening, ...SMALL }))
  if (!listener) return
  log.cleanups.push(() => listener.close())
  void listener.address
  say({ isListening: true })
  const conversations = []
  const loop = (async () => {
    for await (const socket of listener) {
      const side = log.side()
      try {
        conversations.push(converse(log, side, library.toDuplex(socket, { allowHalfOpen: true })))
      } catch (error) {
        socket.reset()
        side.error('throw', error)
      }
    }
  })().catch((error) => log.thrown('for await', error, 'reject'))
  await Promise.race([log.allSettled(CONNECTIONS), loop])
  listener.close()
  await loop
  await Promise.all(conversations)
}

/** Over the connections of a server with handlers. */
async function acceptConnections({ library, log, options, say }) {
  const open = (connection) => {
    const side = log.side()
    try {
      void converse(log, side, library.toDuplex(connection, { allowHalfOpen: true }))
    } catch (error) {
      connection.terminate()
      side.error('throw', error)
    }
  }
  const refused = new Map()
  const error = (connection, reason) => {
    if (!refused.has(connection)) refused.set(connection, log.side())
    refused.get(connection).error('error', reason)
  }
  const server = log.attempt('listen', () =>
    library.listen({ ...options.listening, ...SMALL, allowHalfOpen: true, socket: { open, error } }),
  )
  if (!server) return
  void server.address
  log.cleanups.push(() => server.stop(true))
  say({ isListening: true })
  await log.allSettled(CONNECTIONS)
  await server.close()
}

async function dial(context) {
  await dialEach(context, (options) => {
    const socket = context.library.Socket.connect(options)
    try {
      return context.library.toDuplex(socket, { allowHalfOpen: true })
    } catch (error) {
      socket.reset()
      throw error
    }
  })
}

async function web({ library, log, options }) {
  const socket = {
    open: (connection) => connection.data.open(),
    error: (connection, error) => connection.data.error('error', error),
    close: (connection, error) => connection.data.close(error),
  }
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const side = log.side()
      let connection
      try {
        connection = await library.connect({ ...options.address, ...SMALL, socket, data: side, allowHalfOpen: true })
        log.cleanups.push(() => connection.terminate())
      } catch (error) {
        return side.error('reject', error)
      }
      const { readable, writable, closed } = library.toWeb(connection)
      const writer = writable.getWriter()
      side.accepted = UP
      const wrote = writer.write(side.bytes).then(() => writer.close())
      const read = (async () => {
        // A web stream has a queue of its own: it may be read behind the close of the connection.
        for await (const chunk of readable) side.checker.read(Buffer.from(chunk))
        side.ended = true
      })()
      await Promise.allSettled([wrote, read, closed])
    }),
  )
}

const BOTH = ['tcp', 'unix']

/** See `SCENARIOS`. */
export const STREAMS = {
  'toDuplex of accepted sockets': { level: 'streams', role: 'server', transports: BOTH, run: accept },
  'toDuplex of connections': { level: 'streams', role: 'server', transports: ['tcp'], run: acceptConnections },
  'toDuplex of a client': { level: 'streams', role: 'client', transports: BOTH, run: dial },
  'toWeb of a client': { level: 'streams', role: 'client', transports: ['tcp'], run: web },
}
