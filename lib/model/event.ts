import { DETACHED, ERROR, HANGUP, READABLE, READ_ENDED, WRITABLE } from '../native.js'
import type { Source } from './source.js'

/**
 * A descriptor that this library did not open (an eventfd, a pipe, a serial line): watched, never read, written or
 * closed.
 */
export interface Descriptor {
  /** Its number. It has to stay open for as long as it is watched. */
  readonly fd: number
}

/** What a {@link Multiplexer} can watch. */
export type Target = Source | Descriptor

/** Which directions to report: reading, writing, or both. Hang-ups and errors are always reported. */
export type Interest = 'r' | 'w' | 'rw'

/**
 * The readiness of one target.
 *
 * The event object belongs to the registration of its target and is reused: read it before the next wait of the same
 * multiplexer. Once its target has been closed or removed, also by the handling of an earlier event of the same batch,
 * all its flags are false.
 */
export interface ReadyEvent<T extends Target = Target> {
  /** The very object that was added. */
  readonly target: T
  /**
   * Receiving (or accepting) will not block: data, the peer's end, a hang-up or an error is there. EPOLLIN, EPOLLRDHUP,
   * EPOLLHUP, EPOLLERR.
   */
  readonly readable: boolean
  /** Sending will not block, and the send queue is empty. EPOLLOUT. */
  readonly writable: boolean
  /** The peer will send nothing more: its FIN came. What it sent before may still be unread. EPOLLRDHUP. */
  readonly readEnded: boolean
  /** Both directions have ended. EPOLLHUP. */
  readonly hangup: boolean
  /** The connection failed or was reset; receiving throws the reason. EPOLLERR. */
  readonly error: boolean
}

/**
 * The old name of {@link ReadyEvent}, which collides with the global `Event`.
 *
 * @deprecated Use {@link ReadyEvent}; this alias goes with version 0.3.
 */
export type Event<T extends Target = Target> = ReadyEvent<T>

/** Called for the events of one target, in place of the caller of `wait`. */
export interface Watcher {
  /**
   * The target is ready. The event is valid until the call returns; `chunk` is input that has been received already.
   */
  onEvent(event: ReadyEvent, chunk?: Buffer): void
  /**
   * Of a listener that is served: a wait has accepted a connection, and has registered its socket. With an `errno` it
   * could not be registered.
   */
  onAccepted?(handle: number, errno: number): void
  /** Of a listener that is served: accept4(2) has failed. The connection stays in the backlog. */
  onAcceptRefused?(errno: number): void
  /**
   * The target has left the multiplexer by itself: its close is complete, or its connect has failed. With `isReset` the
   * program has reset it, and its queue was dropped.
   */
  onDetached?(isReset?: boolean): void
  /** A use of the target has thrown the reason why the connection broke, which closed it. Also for the watcher's own. */
  onBroken?(error: Error): void
  /** Whether it has bytes to write that go before all else. */
  readonly isWriting?: boolean
  /** The multiplexer has been closed: the target is in none any more. */
  onMultiplexerClosed?(): void
}

/** A target's registration in a multiplexer, and the event that reports it. */
export class Registration implements ReadyEvent {
  readonly target: Target
  readable = false
  writable = false
  readEnded = false
  hangup = false
  error = false
  #inputAt = -1
  readonly #handle: number
  #watcher: Watcher | undefined

  constructor(target: Target, handle: number, watcher: Watcher | undefined) {
    this.target = target
    this.#handle = handle
    this.#watcher = watcher
  }

  /** The native handle that the target was registered under. */
  get handle(): number {
    return this.#handle
  }

  /** Where in the batch the undelivered input of the target is; -1 when it has none. */
  get inputAt(): number {
    return this.#inputAt
  }

  set inputAt(at: number) {
    this.#inputAt = at
  }

  get watcher(): Watcher | undefined {
    return this.#watcher
  }

  set watcher(watcher: Watcher | undefined) {
    this.#watcher = watcher
  }

  /** Sets the flags from native event bits; returns whether any of them is set. */
  setBits(bits: number): boolean {
    this.readable = (bits & READABLE) !== 0
    this.writable = (bits & WRITABLE) !== 0
    this.readEnded = (bits & READ_ENDED) !== 0
    this.hangup = (bits & HANGUP) !== 0
    this.error = (bits & ERROR) !== 0
    return (bits & ~DETACHED) !== 0
  }
}
