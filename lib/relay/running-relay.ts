import { constants } from 'node:os'

import { addAbortCallback, removeAbortCallback } from '../abort.js'
import { SocketClosedError, abortError, systemError } from '../errors.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { clearTimeout, now, setTimeout } from '../loop/timers.js'
import type { Watcher } from '../model/event.js'
import type { RelayTotals } from './relay.js'
import { type Side, closeSide, connectFailure, failureOf, isClosed, release, socketOf, take } from './sides.js'

/** How often the bytes of a relay are looked at within its idle timeout. */
const CHECKS = 8

/** A relay from its beginning to its end, and the watcher of both sockets. */
export class RunningRelay implements Watcher {
  readonly #a: Side
  readonly #b: Side
  /** What each had sent when the relay began, and what was to be sent then. */
  readonly #sentByA: number
  readonly #sentByB: number
  /** Undefined once it is over. */
  #settle: ((totals: RelayTotals | Promise<never>) => void) | undefined = undefined
  /** Ends what else may end the relay. */
  #cleanUp: (() => void) | undefined = undefined

  /** Takes both sides over. @throws as `relay`. */
  constructor(a: Side, b: Side) {
    this.#a = a
    this.#b = b
    const failure = connectFailure(a) ?? connectFailure(b)
    if (failure) {
      closeSide(a, failure)
      closeSide(b, failure)
      throw Object.assign(failure, { aToB: 0, bToA: 0 })
    }
    const onClosed = (error?: Error): void =>
      this.#finish(error ?? new SocketClosedError('relay: the connection was closed'))
    take(a, onClosed)
    take(b, onClosed)
    this.#sentByA = sentBy(a)
    this.#sentByB = sentBy(b)
    const poller = sharedPoller()
    try {
      poller.relay(socketOf(a), socketOf(b), this)
    } catch (error) {
      release(a, error as Error)
      release(b, error as Error)
      throw error
    }
    poller.ref()
  }

  run(idleTimeout: number, signal: AbortSignal | undefined): Promise<RelayTotals> {
    const settled = new Promise<RelayTotals>((resolve) => {
      this.#settle = resolve
    })
    try {
      if (idleTimeout > 0) this.#endWhenIdle(idleTimeout)
      if (signal) this.#endWhenAborted(signal)
    } catch (error) {
      // Of a signal that is none of Node's.
      this.#finish(error as Error)
    }
    return settled
  }

  onEvent(): void {}

  /** A side has left: both have ended, unless one has broken or the program has closed it. */
  onDetached(): void {
    if (this.#settle) this.#finish(this.#reason())
  }

  #reason(): Error | undefined {
    const failure = failureOf(this.#a) ?? failureOf(this.#b)
    if (failure) return failure
    const closed = isClosed(this.#a) || isClosed(this.#b)
    return closed ? new SocketClosedError('relay: the socket was closed') : undefined
  }

  #endWhenIdle(idleTimeout: number): void {
    let activity = this.#activity
    let since = now()
    const check = (): void => {
      if (this.#activity !== activity) {
        activity = this.#activity
        since = now()
      } else if (now() - since >= idleTimeout) {
        const note = `nothing came for ${idleTimeout} ms`
        return this.#finish(systemError(constants.errno.ETIMEDOUT, 'relay', undefined, note))
      }
      timer.refresh()
    }
    const timer = setTimeout(check, Math.ceil(idleTimeout / CHECKS)).unref()
    this.#cleanUp = () => clearTimeout(timer)
  }

  #endWhenAborted(signal: AbortSignal): void {
    const onAbort = (): void => this.#finish(abortError(signal, this.#totals))
    const cleanUp = this.#cleanUp
    addAbortCallback(signal, onAbort)
    this.#cleanUp = () => {
      cleanUp?.()
      removeAbortCallback(signal, onAbort)
    }
  }

  #finish(error: Error | undefined): void {
    const settle = this.#settle
    if (!settle) return
    this.#settle = undefined
    const totals = this.#totals
    this.#cleanUp?.()
    if (error) Object.assign(error, totals)
    closeSide(this.#a, error)
    closeSide(this.#b, error)
    sharedPoller().unref()
    settle(error ? Promise.reject(error) : totals)
  }

  get #totals(): RelayTotals {
    const { bytesSent: byA } = socketOf(this.#a)
    const { bytesSent: byB } = socketOf(this.#b)
    return { aToB: Math.max(0, byB - this.#sentByB), bToA: Math.max(0, byA - this.#sentByA) }
  }

  /** Bytes that came and bytes that went: they change while something happens. */
  get #activity(): number {
    const [a, b] = [socketOf(this.#a), socketOf(this.#b)]
    return a.bytesReceived + a.bytesSent + b.bytesReceived + b.bytesSent
  }
}

function sentBy(side: Side): number {
  const { bytesSent, unsent } = socketOf(side)
  const sent = bytesSent + unsent
  // V8 keeps a 0 that was read from a Float64Array on the heap.
  return sent === 0 ? 0 : sent
}
