import type { Connection } from '../connection/connection.js'
import { abortError } from '../errors.js'
import type { Socket } from '../model/socket.js'
import { abortSignal, checkOptions, milliseconds } from '../validate.js'
import { RunningRelay } from './running-relay.js'
import { type Side, checkFree, checkSides } from './sides.js'

/** How many bytes a {@link relay} has moved each way. */
export interface RelayTotals {
  /** Bytes that came from `a`, and that the kernel has taken to send to `b`. */
  readonly aToB: number
  /** As `aToB`, from `b` to `a`. */
  readonly bToA: number
}

/** How {@link relay} ends, besides by the ends of both sockets. */
export interface RelayOptions {
  /**
   * Milliseconds without a byte in either direction after which the relay ends, up to an eighth late; 0 for none.
   * **Default:** 0.
   */
  readonly idleTimeout?: number | undefined
  /** Ends the relay when it is aborted. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Relays two sockets or connections: what each one receives is sent by the other one, without JavaScript and without
 * copies into it. Small pieces go by recv(2) and send(2), large ones by splice(2) through a pipe that is used only
 * meanwhile. What was received and not read goes first, and what was queued before that.
 *
 * Both are taken over: of a connection's handlers only `close` is still called, its idle timeout ends, and a relay keeps
 * the process alive until it ends. Either may still be connecting. While one side does not read, nothing is read from
 * the other one. The end of a peer goes on as ours, behind all bytes before it, and the other direction stays open; a
 * reset goes on as a reset. Counters (`bytesReceived`, `bytesSent`), addresses, `info()` and options can be read while
 * it runs. `end()` of a connection ends its half behind what the relay has received for it; `close()`, `reset()` and `terminate()` end
 * the relay.
 *
 * @returns the bytes of each direction, when both have ended; both sockets are then closed.
 * @throws (rejects) with `aToB` and `bToA` so far, and both sockets are then closed by RST: SocketError why one of them
 * broke (ECONNRESET, EPIPE, ECONNREFUSED of one that was connecting); ETIMEDOUT after `idleTimeout`;
 * SocketClosedError when the program closed one; an AbortError, with the signal's reason as its `cause`.
 * @throws (rejects) with both as they were: TypeError, RangeError for bad arguments, and for one socket twice;
 * SocketClosedError; SocketError EEXIST for a socket in a Multiplexer or under a stream; Error ERR_INVALID_STATE for a
 * connection that is being read or that has been adapted; an AbortError for a signal that was aborted before. After
 * SocketError ENOSPC or ENOMEM of epoll_ctl(2) a connection is closed, and a socket is as it was.
 */
export function relay<A, B>(
  a: Socket | Connection<A>,
  b: Socket | Connection<B>,
  options: RelayOptions = {},
): Promise<RelayTotals> {
  try {
    return begin(a, b, options)
  } catch (error) {
    return Promise.reject(error as Error)
  }
}

function begin<A, B>(
  a: Socket | Connection<A>,
  b: Socket | Connection<B>,
  options: RelayOptions,
): Promise<RelayTotals> {
  checkOptions(options, ['idleTimeout', 'signal'])
  const idleTimeout = milliseconds(options.idleTimeout ?? 0, 'options.idleTimeout')
  const signal = options.signal === undefined ? undefined : abortSignal(options.signal, 'options.signal')
  checkSides(a, b)
  if (signal?.aborted) throw abortError(signal, { aToB: 0, bToA: 0 })
  const [one, other] = [a as Side, b as Side]
  checkFree(one)
  checkFree(other)
  return new RunningRelay(one, other).run(idleTimeout, signal)
}
