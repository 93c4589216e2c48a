// listen() and connect().

import { CONNECTIONS } from '../pattern.js'

/** The kernel's buffers are small, so that queues are used. */
const SMALL = { sendBufferSize: 16_384 }

/** Writes until there is no more room; first small pieces, which are corked. */
function write(side, connection) {
  for (const length of side.accepted === 0 ? [100, 200, 300] : []) {
    const count = connection.write(side.bytes, side.accepted, length)
    if (count < 0) return
    side.accepted += count
  }
  const count = connection.write(side.bytes, side.accepted)
  if (count < 0) return
  side.accepted += count
  if (side.rest.length === 0) connection.end()
}

/** Handlers that note all, write the pattern, and check the peer's. */
function handlers(log, sideOf) {
  return {
    open(connection) {
      const side = sideOf(connection)
      side.open()
      if (connection.remotePort !== undefined) log.attempt('setNoDelay', () => connection.setNoDelay(true))
      log.attempt('getOption', () => connection.socket.getOption('sendBufferSize'))
      void [connection.localAddress, connection.remoteAddress]
      write(side, connection)
    },
    data: (connection, chunk) => sideOf(connection).data(chunk),
    drain(connection) {
      const side = sideOf(connection)
      side.note('drain')
      write(side, connection)
    },
    end: (connection) => sideOf(connection).end(),
    error: (connection, error) => sideOf(connection).error('error', error),
    close: (connection, error) => sideOf(connection).close(error),
  }
}

/** Gives each connection its side when it is seen first. */
function sides(log) {
  return (connection) => (connection.data ??= log.side())
}

/** The two ways to take the local side of a client's connection. */
function clientOptions({ transport, address }) {
  return transport === 'unix' ? address : { ...address, localAddress: '127.0.0.1' }
}

async function serve({ library, log, say }, listening) {
  const server = log.attempt('listen', () =>
    library.listen({ ...listening, ...SMALL, keepAlive: true, allowHalfOpen: true, socket: handlers(log, sides(log)) }),
  )
  if (!server) return
  void server.address
  log.cleanups.push(() => server.stop(true))
  say({ isListening: true })
  await log.allSettled(CONNECTIONS)
  await server.close()
}

async function dial({ library, log, options }) {
  const socket = handlers(log, ({ data }) => data)
  const all = Array.from({ length: CONNECTIONS }, async () => {
    const side = log.side()
    const to = { ...clientOptions(options), ...SMALL, keepAlive: true, allowHalfOpen: true, socket, data: side }
    try {
      const connection = await library.connect({ ...to, connectTimeout: 5000 })
      log.cleanups.push(() => connection.terminate())
    } catch (error) {
      side.error('reject', error)
    }
  })
  await Promise.all(all)
  await log.allSettled(CONNECTIONS)
}

/** By promises: read(into), for await, write and drain. */
async function converse(side, connection) {
  const into = Buffer.alloc(8192)
  const finished = new Promise((resolve) => (side.onClose = resolve))
  write(side, connection)
  try {
    const first = await connection.read(into)
    if (first === null) return side.end()
    side.data(into.subarray(0, first))
    for await (const chunk of connection) side.data(chunk)
    side.end()
  } catch (error) {
    side.readError = error
  }
  await finished
}

function quietHandlers(log, sideOf) {
  const { drain, error, close, open } = handlers(log, sideOf)
  const closing = (connection, reason) => {
    close(connection, reason)
    sideOf(connection).onClose?.()
  }
  return {
    open: (connection) => (connection.server ? open(connection) : sideOf(connection).open()),
    drain,
    error,
    close: closing,
  }
}

async function iterate({ library, log, options, say }) {
  const sideOf = sides(log)
  const server = log.attempt('listen', () =>
    library.listen({
      ...options.listening,
      ...SMALL,
      allowHalfOpen: true,
      socket: { ...quietHandlers(log, sideOf), open: (connection) => sideOf(connection).open() },
    }),
  )
  if (!server) return
  void server.address
  log.cleanups.push(() => server.stop(true))
  say({ isListening: true })
  const loop = (async () => {
    for await (const connection of server) void converse(sideOf(connection), connection)
  })()
  await log.allSettled(CONNECTIONS)
  await server.close()
  await loop
}

async function read({ library, log, options }) {
  const socket = quietHandlers(log, ({ data }) => data)
  const all = Array.from({ length: CONNECTIONS }, async () => {
    const side = log.side()
    try {
      const connection = await library.connect({
        ...clientOptions(options),
        ...SMALL,
        socket,
        data: side,
        allowHalfOpen: true,
      })
      log.cleanups.push(() => connection.terminate())
      await converse(side, connection)
    } catch (error) {
      side.error('reject', error)
    }
  })
  await Promise.all(all)
}

const BOTH = ['tcp', 'unix']

/** See `SCENARIOS`. */
export const HANDLERS = {
  listen: {
    level: 'handlers',
    role: 'server',
    transports: BOTH,
    run: (context) => serve(context, context.options.listening),
  },
  connect: { level: 'handlers', role: 'client', transports: BOTH, run: dial },
  'server loop': { level: 'handlers', role: 'server', transports: ['tcp'], run: iterate },
  'client reads': { level: 'handlers', role: 'client', transports: ['tcp'], run: read },
  'listen on a descriptor': {
    level: 'handlers',
    role: 'server',
    transports: ['tcp'],
    inherits: 'listener',
    run: (context) => serve(context, { fd: 3 }),
  },
}
