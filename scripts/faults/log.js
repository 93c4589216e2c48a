// What the program under test sees: the life of its connections, and every error with the way on which it came.

import { Checker, DOWN, pattern, UP } from './pattern.js'

/** Errors that are reported of one run: those of a closed loop are all the same. */
const MOST = 50

/** An error, in JSON. `isTyped`: it is of the library or, of a stream, like one of node:net, with a code and a system call. */
function describe(error, { library: { SocketError, SocketClosedError }, hasStreams }) {
  const { name, code, syscall, message } = error ?? {}
  const inner = error instanceof AggregateError ? error.errors : []
  const isTyped =
    error instanceof SocketClosedError ||
    // What Node says of a descriptor whose kind it cannot find out.
    (hasStreams && code === 'ERR_INVALID_FD_TYPE') ||
    ((hasStreams || error instanceof SocketError) && typeof code === 'string' && typeof syscall === 'string') ||
    (inner.length > 0 && typeof code === 'string' && inner.every((each) => each instanceof SocketError))
  return { name, code, syscall, message: String(message ?? error).slice(0, 200), isTyped }
}

/** One connection of the program under test. */
export class Side {
  id
  opened = 0
  closed = 0
  /** What was called after `close`. */
  late = []
  errors = []
  closeError
  accepted = 0
  ended = false
  checker = new Checker(DOWN)
  bytes
  #log

  constructor(log, id) {
    this.#log = log
    this.id = id
    this.bytes = pattern(id, UP)
  }

  /** Notes a call of a handler or an event. */
  note(what) {
    if (this.closed > 0) this.late.push(what)
  }

  open() {
    this.note('open')
    this.opened++
  }

  data(chunk) {
    this.note('data')
    this.checker.read(chunk)
  }

  end() {
    this.note('end')
    this.ended = true
  }

  /** An error, and the way on which it came: 'throw', 'reject', 'error'. */
  error(way, error) {
    // Promises are settled in microtasks, which may run behind the handlers of a batch.
    if (way !== 'reject') this.note('error')
    this.errors.push({ way, ...describe(error, this.#log) })
    this.lastError = error
    if (this.opened === 0) this.#log.settled(this)
  }

  close(error) {
    this.note('close')
    this.closed++
    if (error) this.closeError = { ...describe(error, this.#log), isReported: error === this.lastError }
    this.#log.settled(this)
  }

  /** The part that has not been accepted yet. */
  get rest() {
    return this.bytes.subarray(this.accepted)
  }

  get result() {
    const { id, opened, closed, late, errors, closeError, accepted, ended, checker } = this
    const { received, isRight } = checker
    return { id, opened, closed, late, errors, closeError, accepted, ended, received, isRight }
  }
}

/** Everything that one run sees. */
export class Log {
  /** What is closed at the end, whatever happened. */
  cleanups = []
  sides = []
  /** Errors of calls that belong to no connection, and uncaught ones. */
  errors = []
  #settled = new Set()
  #waiting = []

  constructor(library, hasStreams) {
    this.library = library
    this.hasStreams = hasStreams
  }

  /** A new connection. */
  side() {
    const side = new Side(this, this.sides.length + 1)
    this.sides.push(side)
    return side
  }

  /** An error of a call that belongs to no connection. */
  thrown(where, error, way = 'throw') {
    this.errors.push({ way, where, ...describe(error, this) })
  }

  uncaught(error) {
    this.thrown('process', error, 'uncaught')
  }

  /** Calls, and notes what it throws. */
  attempt(where, act) {
    try {
      return act()
    } catch (error) {
      this.thrown(where, error)
      return undefined
    }
  }

  settled(side) {
    this.#settled.add(side)
    for (const check of this.#waiting) check()
  }

  /** Resolves when `count` connections have settled. */
  async allSettled(count) {
    if (this.#settled.size >= count) return
    await new Promise((resolve) => this.#waiting.push(() => this.#settled.size >= count && resolve()))
  }

  result() {
    return { sides: this.sides.map(({ result }) => result), errors: this.errors.slice(0, MOST) }
  }
}
