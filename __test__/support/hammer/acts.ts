import { inspect } from 'node:util'

import { Socket, adopt } from 'm-socket'

import { type Side, handlersOf } from './side.js'

/** The largest write. */
const MOST = 2 ** 20
/** A side with so many bytes queued or on their way is given no more. */
const ENOUGH = 4 * 2 ** 20

/** What a program may do with an open connection, and how often it does. */
const WEIGHTS = {
  write: 30,
  cork: 8,
  tryWrite: 4,
  flush: 3,
  pause: 4,
  resume: 10,
  options: 3,
  look: 4,
  timeout: 2,
  keepAlive: 3,
  reference: 2,
  end: 5,
  endWithData: 4,
  shutdownRead: 1,
  shutdownBoth: 1,
  terminate: 2,
  dispose: 1,
  move: 3,
}

/** Does something at random. A stream has its connection for itself: only what is harmless is done. */
export function act(side: Side): void {
  const { connection, random } = side
  if (!connection || !side.isOpen) return
  const name = random.weighted(WEIGHTS)
  if (isStream(side) && !['options', 'look', 'keepAlive', 'terminate'].includes(name)) return
  ACTS[name](side, connection)
}

type Act = (side: Side, connection: NonNullable<Side['connection']>) => void

const ACTS: Readonly<Record<keyof typeof WEIGHTS, Act>> = {
  write: (side) => write(side),
  cork: (side, connection) => {
    connection.cork(() => {
      for (let count = side.random.integer(1, 20); count > 0; count--) write(side, 5000)
    })
  },
  tryWrite: (side, connection) => {
    const bytes = side.out.next(side.random.size(MOST))
    accept(side, connection.tryWrite(bytes), bytes.length)
  },
  flush: (_, connection) => void connection.flush(),
  pause: (side, connection) => {
    side.isPaused = true
    connection.pause()
  },
  resume: (side) => resume(side),
  options: (side, connection) => {
    // A socket that broke is closed before its connection is.
    if (!connection.socket || connection.socket.state === 'closed' || connection.socket.state === 'closing') return
    if (connection.remotePort !== undefined) connection.setNoDelay(side.random.chance(0.5))
    connection.socket.setOption('receiveBufferSize', side.random.integer(4096, 500_000))
    void connection.socket.getOption('sendBufferSize')
  },
  look: (_, connection) => {
    void [connection.state, connection.readyState, connection.bytesRead, connection.bytesWritten, inspect(connection)]
  },
  timeout: (side, connection) => {
    side.isCareless = true
    connection.timeout(side.random.pick([0, 100, 300, 1000]))
  },
  keepAlive: (side, connection) => {
    if (connection.remotePort !== undefined && connection.state === 'open')
      connection.setKeepAlive(true, side.random.pick([0, 1000, 60_000]))
  },
  reference: (side, connection) => void (side.random.chance(0.5) ? connection.unref() : connection.ref()),
  end: (side, connection) => {
    side.hasEnded = true
    if (side.random.chance(0.5)) connection.end()
    else connection.shutdown(side.random.pick(['write', false]))
  },
  endWithData: (side, connection) => {
    const bytes = side.out.next(side.random.size(MOST))
    const taken = connection.end(bytes)
    side.hasEnded = true
    accept(side, taken, bytes.length)
    if (taken >= 0 && taken < bytes.length) side.problem(`end() took ${taken} of ${bytes.length} bytes`)
  },
  shutdownRead: (side, connection) => {
    side.shutInput()
    connection.shutdown(side.random.pick(['read', true]))
  },
  shutdownBoth: (side, connection) => {
    side.shutInput()
    side.hasEnded = true
    connection.shutdown('both')
  },
  terminate: (side, connection) => {
    side.cut()
    connection.terminate()
  },
  dispose: (side, connection) => {
    side.hasEnded = true
    connection[Symbol.dispose]()
  },
  /** Gives the socket to another connection. */
  move: (side, connection) => {
    if (side.reading !== 'handler' || connection.state !== 'open') return
    side.moves++
    const socket = Socket.attach(connection.detach())
    const handlers = handlersOf(
      () => side,
      () => {},
      write,
    )
    const allowHalfOpen = side.random.chance(0.5)
    const moved = adopt<Side>(socket, { data: side, socket: handlers, allowHalfOpen })
    if (side.isPaused) moved.pause()
  },
}

/** Writes a piece of the flow. */
export function write(side: Side, most = MOST): void {
  const { connection, random, out } = side
  if (!connection || !side.isOpen || side.hasEnded || isStream(side)) return
  if (out.accepted - connection.bytesWritten > ENOUGH) return
  const bytes = out.next(random.size(most))
  if (random.chance(0.3)) {
    const padded = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)])
    accept(side, connection.write(padded, 3, bytes.length), bytes.length)
    padded.fill(0)
  } else accept(side, connection.write(bytes), bytes.length)
  // What was accepted has been copied.
  bytes.fill(0)
}

/** Counts what was taken. */
function accept(side: Side, taken: number, given: number): void {
  if (taken > given || taken < -1) side.problem(`took ${taken} of ${given} bytes`)
  if (taken > 0) side.out.accepted += taken
}

/** Reads again. */
export function resume(side: Side): void {
  side.isPaused = false
  side.connection?.resume()
}

/** Whether a stream reads and writes the connection. */
export function isStream({ reading }: Side): boolean {
  return reading === 'duplex' || reading === 'web'
}
