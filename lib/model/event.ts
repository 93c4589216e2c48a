import type { Source } from './source.js'

/** Somebody else's descriptor (an eventfd, a pipe, a serial line): watched, never read, written or closed. */
export interface Descriptor {
  /** Its number, open for as long as it is watched. */
  readonly fd: number
}

/** What a {@link Multiplexer} can watch. */
export type Target = Source | Descriptor

/** Which directions to tell of: reading, writing, or both. Hang-up and errors are told unasked. */
export type Interest = 'r' | 'w' | 'rw'

/**
 * How often readiness that lasts is told.
 *
 * - `'edge'`: readable at every wait until drained, writable once each time it becomes so.
 * - `'level'`: readable and writable at every wait for as long as they last.
 * - `'oneshot'`: once, then nothing until `modify`.
 */
export type Mode = 'edge' | 'level' | 'oneshot'

/**
 * One target's news.
 *
 * An event belongs to its target's place in the multiplexer: the next wait of the same multiplexer may write it
 * anew. Once its target has been closed or removed, also by an earlier event of the same batch, all its flags are
 * false.
 */
export interface Event<T extends Target = Target> {
  /** The very object that was added. */
  readonly target: T
  /** Receiving (or accepting) will not block: data, the peer's end, a hang-up or an error waits. EPOLLIN, EPOLLRDHUP, EPOLLHUP, EPOLLERR. */
  readonly readable: boolean
  /** Sending will not block, and the send queue is empty. EPOLLOUT. */
  readonly writable: boolean
  /** The peer will send nothing more (its FIN came); what it sent before may still wait. EPOLLRDHUP. */
  readonly readEnded: boolean
  /** Both directions have ended. EPOLLHUP. */
  readonly hangup: boolean
  /** The connection failed or was reset; receiving tells why. EPOLLERR. */
  readonly error: boolean
}

const READABLE = 1
const WRITABLE = 2
const READ_ENDED = 4
const HANGUP = 8
const ERROR = 16

/** The target has left the multiplexer by itself. */
export const LEFT = 32

/** Who is told of a target's events instead of the caller of `wait`. */
export interface Watcher {
  /** There is news. The event is the watcher's until the call returns; `chunk` is what has been received already. */
  onEvent(event: Event, chunk?: Buffer): void
  /** The target has left the multiplexer by itself: its close has been completed, or its connect has failed. */
  onLeft?(): void
}

/** A target's place in a multiplexer, and the event that is told of it. */
export class Registration implements Event {
  readonly target: Target
  readable = false
  writable = false
  readEnded = false
  hangup = false
  error = false
  #at = -1
  readonly #handle: number
  readonly #watcher: Watcher | undefined

  constructor(target: Target, handle: number, watcher: Watcher | undefined) {
    this.target = target
    this.#handle = handle
    this.#watcher = watcher
  }

  /** The native handle that the target was registered under. */
  get handle(): number {
    return this.#handle
  }

  /** Where in the batch is what has been received for the target, and not been told yet; -1 nowhere. */
  get at(): number {
    return this.#at
  }

  set at(at: number) {
    this.#at = at
  }

  get watcher(): Watcher | undefined {
    return this.#watcher
  }

  /** Takes in the native bits; tells whether they are news for the owner. */
  write(bits: number): boolean {
    this.readable = (bits & READABLE) !== 0
    this.writable = (bits & WRITABLE) !== 0
    this.readEnded = (bits & READ_ENDED) !== 0
    this.hangup = (bits & HANGUP) !== 0
    this.error = (bits & ERROR) !== 0
    return (bits & ~LEFT) !== 0
  }
}
