import { constants } from 'node:os'

import { Connection } from '../connection/connection.js'
import { SocketClosedError, invalidArgType, invalidArgValue, systemError } from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import { isUnfinished } from '../loop/registration-table.js'
import { Socket } from '../model/socket.js'
import * as native from '../native.js'

// Functions, since an object for each side would be a tenth of what an idle relay weighs.

/** One side of a relay. */
export type Side = Socket | Connection<unknown>

/** The socket of a side that has been checked. */
export function socketOf(side: Side): Socket {
  return side instanceof Socket ? side : side.socket!
}

/** Throws as `relay`, with nothing changed. */
export function checkSides(a: unknown, b: unknown): void {
  const [one, other] = [knownSocket(a, 'a'), knownSocket(b, 'b')]
  if (a === b || (one !== undefined && one === other)) throw invalidArgValue('b', b, 'must be another socket than a')
}

/** Undefined of a connection that has none yet. */
function knownSocket(value: unknown, name: string): Socket | undefined {
  if (value instanceof Socket) return value
  if (value instanceof Connection) return value.socket
  throw invalidArgType(name, 'a Socket or a Connection', value)
}

/** Throws as `relay`, with nothing changed. */
export function checkFree(side: Side): void {
  if (side instanceof Connection) return void side.checkAdaptable('relay')
  if (side.handle < 0) throw new SocketClosedError('relay: the socket is closed')
  const isFree = !side.poller || side.poller.registrations.isFlushOnly(side)
  if (!isFree) throw systemError(constants.errno.EEXIST, 'relay', undefined, 'the socket is in a Multiplexer')
}

/** Takes a side out of where it is. `onClosed` is called when the program has closed a connection. */
export function take(side: Side, onClosed: (error?: Error) => void): void {
  if (side instanceof Socket) return void side.poller?.removeFlushOnly(side)
  const socket = side.socket!
  side.handOver({ end: () => void native.endRelayed(socket.handle), onClose: onClosed }, 'relay')
}

/** The relay could not begin: what a socket has left to do is done as before, and a connection is closed. */
export function release(side: Side, error: Error): void {
  if (side instanceof Connection) closeSide(side, error)
  else if (isUnfinished(side.handle)) flushInBackground(side, side.handle)
}

/** Closes a side: by FIN, or after an error by RST. */
export function closeSide(side: Side, error: Error | undefined): void {
  const socket = socketOf(side)
  if (side instanceof Connection) socket.keepAddresses()
  if (error) socket.resetByWatcher()
  else socket.closeByWatcher()
  if (side instanceof Connection) side.onSocketClosed(error)
}

/** Why a connect has failed. */
export function connectFailure(side: Side): Error | undefined {
  const socket = socketOf(side)
  return socket.failure?.syscall === 'connect' ? socket.connectFailure() : undefined
}

/** Why a side has broken; undefined once it is closed. */
export function failureOf(side: Side): Error | undefined {
  if (isClosed(side)) return undefined
  return connectFailure(side) ?? socketOf(side).failure
}

export function isClosed(side: Side): boolean {
  return socketOf(side).handle < 0
}
