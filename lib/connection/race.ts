import { constants } from 'node:os'

import { addAbortCallback, removeAbortCallback } from '../abort.js'
import { type ErrorAddress, SocketClosedError, SocketError, systemError } from '../errors.js'
import type { Poller } from '../loop/poller.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { clearTimeout, now, setTimeout } from '../loop/timers.js'
import type { SocketConnectOptions } from '../model/connect-options.js'
import type { ReadyEvent } from '../model/event.js'
import { Socket } from '../model/socket.js'
import { WRITE } from '../native.js'
import { attemptFails } from '../observe/life.js'

/** RFC 8305's Connection Attempt Delay, in milliseconds. */
const ATTEMPT_DELAY = 250

/** Why one address could not be connected to. */
export interface ConnectAttemptError extends SocketError {
  /** Milliseconds from the start of the attempt to its failure. */
  readonly elapsed: number
}

/** What a race connects to, in order; of a name only after it has been resolved. */
export type Candidates = SocketConnectOptions[] | (() => Promise<SocketConnectOptions[]>)

/** What ends a race besides its outcome. */
export interface RaceLimits {
  /** Milliseconds for everything together; undefined for no limit. */
  readonly timeout: number | undefined
  readonly signal: AbortSignal | undefined
  /** The poller that the winner goes to: closing it ends the race. */
  readonly poller: Poller
}

/**
 * Races attempts after RFC 8305: the first socket to connect wins, and the others are closed. It is still watched, by the
 * shared poller.
 */
export function race(candidates: Candidates, limits: RaceLimits): Promise<Socket> {
  return new Promise((resolve, reject) => {
    new Race(resolve, reject, limits).run(candidates)
  })
}

interface Attempt {
  readonly to: SocketConnectOptions
  /** When it began, on the clock of {@link now}, in milliseconds. */
  readonly since: number
}

class Race {
  readonly #resolve: (socket: Socket) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #poller: Poller
  readonly #attempts = new Map<Socket, Attempt>()
  readonly #errors: ConnectAttemptError[] = []
  readonly #onAbort = () => this.#settle(() => this.#reject(abortReason(this.#signal!)))
  readonly #onPollerClosed = () =>
    this.#settle(() => this.#reject(new SocketClosedError('connect: the Multiplexer was closed')))
  readonly #timeout: NodeJS.Timeout | undefined
  #waiting: SocketConnectOptions[] = []
  #delay: NodeJS.Timeout | undefined
  #settled = false

  constructor(resolve: (socket: Socket) => void, reject: (error: unknown) => void, limits: RaceLimits) {
    const { timeout, signal, poller } = limits
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    this.#poller = poller
    if (signal) addAbortCallback(signal, this.#onAbort)
    poller.onClose.add(this.#onPollerClosed)
    if (timeout !== undefined) this.#timeout = setTimeout(() => this.#expire(timeout), timeout)
  }

  run(candidates: Candidates): void {
    if (typeof candidates !== 'function') return this.#start(candidates)
    candidates().then(
      (resolved) => this.#start(resolved),
      (error: unknown) => this.#settle(() => this.#reject(error)),
    )
  }

  #start(candidates: SocketConnectOptions[]): void {
    if (this.#settled) return
    this.#waiting = candidates
    if (candidates.length === 0) this.#settle(() => this.#reject(noAddress()))
    else this.#next()
  }

  /** Begins the next attempt, and schedules the one after it. */
  #next(): void {
    clearTimeout(this.#delay)
    const to = this.#waiting.shift()
    if (!to) return
    const since = now()
    let socket: Socket | undefined
    try {
      socket = Socket.connect(to)
      this.#attempts.set(socket, { to, since })
      sharedPoller().watch(socket, WRITE, { onEvent: (event) => this.#onOutcome(socket!, event) })
    } catch (error) {
      if (socket) this.#attempts.delete(socket)
      socket?.close()
      if (!(error instanceof SocketError)) return this.#settle(() => this.#reject(error))
      return this.#lose(error, { to, since })
    }
    if (this.#waiting.length > 0) this.#delay = setTimeout(() => this.#next(), ATTEMPT_DELAY)
  }

  #onOutcome(socket: Socket, event?: ReadyEvent): void {
    const attempt = this.#attempts.get(socket)
    if (this.#settled || !attempt) return
    const mayHaveFailed = event === undefined || event.error || event.hangup || socket.state !== 'open'
    const failure = mayHaveFailed ? socket.connectFailure() : undefined
    if (mayHaveFailed && !failure && socket.state !== 'open') return
    this.#attempts.delete(socket)
    if (failure) return this.#lose(failure, attempt)
    this.#settle(() => this.#resolve(socket))
  }

  #lose(error: SocketError, attempt: Attempt): void {
    this.#errors.push(attemptError(error, attempt))
    attemptFails(error)
    if (this.#waiting.length > 0) this.#next()
    else if (this.#attempts.size === 0) this.#fail()
  }

  #expire(timeout: number): void {
    // After a long block Node's loop runs its timers before it polls: an attempt may have connected meanwhile.
    for (const socket of this.#attempts.keys()) this.#onOutcome(socket)
    if (this.#settled) return
    const reason = `not connected within ${timeout} ms`
    for (const attempt of this.#attempts.values())
      this.#errors.push(attemptError(timedOut(reason, attempt.to), attempt))
    if (this.#errors.length === 0) return this.#settle(() => this.#reject(timedOut(reason)))
    this.#fail(`connect ETIMEDOUT: ${reason}`)
  }

  /** One attempt fails with its error; several with one error that has theirs, and the details of the first. */
  #fail(message = this.#errors.map((error) => error.message).join('; ')): void {
    const [first, ...others] = this.#errors
    const error =
      others.length === 0 ? first : Object.assign(new AggregateError(this.#errors, message), details(first!))
    this.#settle(() => this.#reject(error))
  }

  /** The first outcome is the only one; the other attempts are closed. */
  #settle(outcome: () => void): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#delay)
    clearTimeout(this.#timeout)
    if (this.#signal) removeAbortCallback(this.#signal, this.#onAbort)
    this.#poller.onClose.delete(this.#onPollerClosed)
    for (const socket of this.#attempts.keys()) socket.close()
    outcome()
  }
}

/** Why a signal was aborted. Signals of other realms may give no reason: those of older versions of jsdom. */
export function abortReason({ reason }: AbortSignal): unknown {
  return reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason
}

function details({ code, errno, syscall, address, port }: SocketError): object {
  return { code, errno, syscall, address, ...(port === undefined ? {} : { port }) }
}

/** ETIMEDOUT of an attempt, or of the whole race when none had begun. */
function timedOut(reason: string, to?: SocketConnectOptions): SocketError {
  return systemError(constants.errno.ETIMEDOUT, 'connect', to && errorAddress(to), reason)
}

function noAddress(): SocketError {
  const note = 'the host has no address that can be connected to'
  return systemError(constants.errno.EADDRNOTAVAIL, 'connect', undefined, note)
}

/** The error of an attempt says where it went, also where a call before connect(2) failed. */
function attemptError(error: SocketError, { to, since }: Attempt): ConnectAttemptError {
  const elapsed = now() - since
  if (to.path !== undefined) return Object.assign(error, { address: to.path, elapsed })
  return Object.assign(error, { address: to.host!, port: Number(to.port), elapsed })
}

function errorAddress({ host, port, path }: SocketConnectOptions): ErrorAddress {
  return path === undefined ? { address: host!, port: Number(port) } : { path }
}
