import { inspect } from 'node:util'

import type { Connection, Handlers } from 'm-socket'

import { Flow, Receipt } from './flow.js'
import type { Random } from './random.js'

/** How input is read. */
export type Reading = 'handler' | 'read' | 'loop' | 'duplex' | 'web'

/** Collects what is wrong. */
export type Report = (problem: string) => void

/** One end of a connection, and the promises of the library about it. */
export class Side {
  readonly name: string
  readonly out = new Flow()
  readonly receipt = new Receipt()
  readonly random: Random
  readonly reading: Reading
  connection: Connection<Side> | undefined
  opened = 0
  closed = 0
  /** Whether the peer's end was received. */
  ended = false
  /** Whether our half has been ended by the program. */
  hasEnded = false
  /** Whether it did what may cost bytes of either direction: a reset, discarding input, a timeout. */
  isCareless = false
  isPaused = false
  /** How often its socket has been given to another connection. */
  moves = 0
  #hasShutInput = false
  error: Error | undefined
  /** Ends what a reader is doing, when the connection is closed. */
  onClose: (() => void) | undefined
  readonly #report: Report
  #expected: Error | undefined

  constructor(name: string, random: Random, reading: Reading, report: Report) {
    this.name = name
    this.random = random
    this.reading = reading
    this.#report = report
    this.out.sender = () => `${name} (${reading}): ${this.summary}`
  }

  get isOpen(): boolean {
    return this.opened > 0 && this.closed === 0
  }

  problem(text: string): void {
    this.#report(`${this.name} (${this.reading}): ${text}; ${this.summary}`)
  }

  get summary(): string {
    const { out, receipt, opened, closed, ended, hasEnded, isCareless, error } = this
    return `accepted ${out.accepted}, received ${receipt.total}, ${inspect({ opened, closed, ended, hasEnded, isCareless, error: error?.message }, { breakLength: Infinity })}`
  }

  receive(chunk: Uint8Array): void {
    if (this.ended) this.problem('input behind the end')
    try {
      this.receipt.take(chunk)
    } catch (error) {
      this.problem((error as Error).message)
    }
  }

  end(): void {
    // An end that was reported, or made here, is reported to the handlers of another connection.
    if (this.moves > 0 && (this.ended || this.#hasShutInput)) return
    if (this.ended) this.problem('two ends')
    this.ended = true
    this.#checkLength()
  }

  /**
   * Once both ends are closed: the peer's end says that nothing is missing, unless the peer says that something is.
   * Returns whether they are.
   */
  verify(): boolean {
    const { flow, total } = this.receipt
    if (!flow) return true
    if (!flow.isOver) return false
    this.#checkLength()
    flow.forget()
    if (!this.ended || flow.isCut || total === flow.accepted) return true
    this.problem(`the end came after ${total} of ${flow.accepted} bytes; they were sent by ${flow.sender()}`)
    return true
  }

  #checkLength(): void {
    const { flow, total } = this.receipt
    if (flow && total > flow.accepted) this.problem(`received more than the ${flow.accepted} bytes that were sent`)
  }

  /** A handler throws this: it has to come back by `error`. */
  throwExpected(): never {
    this.#expected = new Error('thrown by a handler')
    throw this.#expected
  }

  /** What comes is discarded from here on. */
  shutInput(): void {
    this.isCareless = true
    this.#hasShutInput = true
  }

  /** A reset, or whatever else drops bytes. */
  cut(): void {
    this.isCareless = true
    this.out.isCut = true
  }

  onError(error: Error): void {
    this.#isOpenFor('error')
    if (error === this.#expected) {
      this.#expected = undefined
      return
    }
    if (this.error) this.problem(`two errors: ${this.error.message}; ${error.message}`)
    this.error = error
    this.out.isCut = true
    if (typeof (error as NodeJS.ErrnoException).code !== 'string')
      this.problem(`an error without a code: ${error.stack}`)
  }

  /** An error of a stream over the connection. */
  onStreamError(error: Error): void {
    if (this.error && this.error !== error) this.problem(`another error: ${error.message}`)
    this.error = error
    this.out.isCut = true
  }

  onClosed(error?: Error): void {
    if (this.closed++ > 0) return this.problem('closed twice')
    if (this.opened === 0) this.problem('closed, but never opened')
    // A stream has the errors of its connection: they are its own events.
    if (this.reading === 'duplex' && error) this.onStreamError(error)
    if (error !== this.error) this.problem(`close says ${error?.message}, error said ${this.error?.message}`)
    this.onClose?.()
  }

  #isOpenFor(what: string): void {
    if (this.closed > 0) this.problem(`${what} behind the close`)
  }

  /** Checks a handler's call, and calls `act`. */
  call(what: string, act: () => void): void {
    this.#isOpenFor(what)
    act()
  }
}

/** Handlers that check the order of their calls; `onOpen` begins the traffic. */
export function handlersOf(
  sideOf: (connection: Connection<Side>) => Side,
  onOpen: (side: Side) => void,
  write: (side: Side) => void,
): Handlers<Side> {
  const without = (reading: Reading): boolean => reading !== 'handler'
  return {
    open(connection) {
      const side = sideOf(connection)
      side.connection = connection
      if (side.moves > 0) return
      if (side.opened++ > 0) side.problem('opened twice')
      onOpen(side)
    },
    data(connection, chunk) {
      const side = sideOf(connection)
      side.call('data', () => {
        if (without(side.reading)) side.problem('a chunk for the handler, although it is read otherwise')
        side.receive(chunk)
      })
      if (side.random.chance(0.002)) side.throwExpected()
      if (side.random.chance(0.05)) write(side)
    },
    drain: (connection) => sideOf(connection).call('drain', () => write(sideOf(connection))),
    end: (connection) => sideOf(connection).call('end', () => sideOf(connection).end()),
    timeout: (connection) => sideOf(connection).call('timeout', () => sideOf(connection).cut()),
    error: (connection, error) => sideOf(connection).onError(error),
    close(connection, error) {
      const side = sideOf(connection)
      // Its socket has been given to another one.
      if (connection !== side.connection && !error) return
      side.onClosed(error)
    },
  }
}
