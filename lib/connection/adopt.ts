import { constants } from 'node:os'

import { SocketClosedError, invalidArgType, systemError } from '../errors.js'
import { takeOver } from '../loop/background-flush.js'
import type { Poller } from '../loop/poller.js'
import { familyOf } from '../model/address.js'
import type { ReadyEvent, Watcher } from '../model/event.js'
import { Socket } from '../model/socket.js'
import { UNIX, WRITE } from '../native.js'
import { changeOptions, checkOptionValues } from '../options/index.js'
import { checkOptions } from '../validate.js'
import { Connection } from './connection.js'
import {
  CONNECTION_HINTS,
  CONNECTION_KEYS,
  type ConnectionOptions,
  type InitialData,
  ownerOf,
  socketOptions,
} from './options.js'

/** How {@link adopt} makes its connection. */
export type AdoptOptions<D> = ConnectionOptions<D> & InitialData<D>

const ADDRESS_KEYS = new Set(['host', 'hostname', 'port', 'path', 'unix'])
const KEYS = CONNECTION_KEYS.filter((key) => !ADDRESS_KEYS.has(key))

/**
 * Hands a socket to handlers: one that a `Listener` has accepted, that was adopted by its descriptor, as inetd passes it,
 * or that was attached. It belongs to the connection from then on, with what is unread and queued.
 *
 * `open` is called before this returns; for a socket that connects, when it has connected, or `connectError` when that
 * fails. If the peer has ended its half before, or reading was shut down, `end` is called as for any other end.
 *
 * Options of the kernel stay as they are, but for those that are given, and TCP_NODELAY, which is on unless
 * `noDelay: false`. So does the socket's `sendQueueLimit`.
 *
 * @throws TypeError, RangeError for bad arguments; SocketClosedError; SocketError EEXIST for a socket in a Multiplexer, of
 * a connection, in a relay or under a stream; of setsockopt(2); ENOSPC, ENOMEM of epoll_ctl(2). The socket then stays as it
 * was. SocketError why connecting had failed; the socket is then closed.
 */
export function adopt<D = undefined>(socket: Socket, options: AdoptOptions<D>): Connection<D> {
  if (!(socket instanceof Socket)) throw invalidArgType('socket', 'a Socket', socket)
  checkOptions(options, KEYS, { hints: CONNECTION_HINTS })
  const owner = ownerOf<D>(options, 'adopt')
  checkOptionValues(options)
  checkFree(socket)
  const restore = changeSocket(socket, options, owner.sendQueueLimit)
  const connection = Connection.of<D>(owner, options.data as D, socket)
  try {
    takeOver(socket, () => begin(connection, socket, owner.poller))
  } catch (error) {
    restore()
    throw error
  }
  return connection
}

function checkFree(socket: Socket): void {
  if (socket.handle < 0) throw new SocketClosedError('adopt: the socket is closed')
  const isFree = !socket.poller || socket.poller.registrations.isFlushOnly(socket)
  if (!isFree) throw systemError(constants.errno.EEXIST, 'adopt', undefined, 'the socket is in use')
  // The first look only finds the outcome of connect(2).
  const { state } = socket
  if (state === 'closed' || (state === 'connecting' && socket.state === 'closed')) {
    throw socket.connectFailure() ?? new SocketClosedError('adopt: the socket is closed')
  }
}

/** Sets what is given. Returns what sets it back. */
function changeSocket(socket: Socket, options: ConnectionOptions<never>, sendQueueLimit: number): () => void {
  const family = familyOf(socket.localAddress)
  const defaults = family === UNIX ? {} : { noDelay: true }
  const restore = changeOptions(socket.handle, family, { ...defaults, ...socketOptions(options) })
  if ((options.sendQueueLimit ?? options.highWaterMark) === undefined) return restore
  const limit = socket.sendQueueLimit
  socket.sendQueueLimit = sendQueueLimit
  return () => {
    restore()
    socket.sendQueueLimit = limit
  }
}

function begin<D>(connection: Connection<D>, socket: Socket, poller: Poller): void {
  if (socket.state !== 'connecting') return open(connection, socket, poller)
  poller.watch(socket, WRITE, new Opening(connection, socket, poller))
  connection.ref()
}

function open<D>(connection: Connection<D>, socket: Socket, poller: Poller): void {
  const { readEnded } = socket
  connection.attach(socket)
  if (!readEnded) return
  // What was received before is not reported again.
  poller.defer(() => {
    if (poller.registrations.of(socket)?.watcher === connection) connection.onEvent(ENDED)
  })
}

/** Watches the socket of a connection until it has connected. */
class Opening<D> implements Watcher {
  readonly #connection: Connection<D>
  readonly #socket: Socket
  readonly #poller: Poller
  #hasFailed = false

  constructor(connection: Connection<D>, socket: Socket, poller: Poller) {
    this.#connection = connection
    this.#socket = socket
    this.#poller = poller
  }

  onEvent(event: ReadyEvent): void {
    const socket = this.#socket
    const mayHaveFailed = event.error || event.hangup || socket.state !== 'open'
    const failure = mayHaveFailed ? socket.connectFailure() : undefined
    if (failure) return this.onBroken(failure)
    if (mayHaveFailed && socket.state !== 'open') return
    try {
      open(this.#connection, socket, this.#poller)
    } catch (error) {
      // It cannot be watched.
      socket.closeByWatcher()
      this.onBroken(error as Error)
    }
  }

  /** The failure of a socket that is still watched is reported once more. */
  onBroken(error: Error): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#connection.connectFailed(error)
    this.#connection.unref()
  }

  onDetached(): void {
    this.#connection.onDetached()
  }

  onMultiplexerClosed(): void {
    this.#connection.onMultiplexerClosed()
  }
}

/** What is reported of a socket that has ended before. */
const ENDED: ReadyEvent = {
  target: { fd: -1 },
  readable: true,
  writable: false,
  readEnded: true,
  hangup: false,
  error: false,
}
