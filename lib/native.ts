// The only import of the addon: its functions, and each number that they take or return, named once. A test compares
// the numbers with the Rust source.

import { constants } from 'node:os'

import { type ErrorAddress, type SocketError, systemError } from './errors.js'

export * from '../index.js'

/** Interest bits of `add`, `addDescriptor` and `modify`. */
export const READ = 1
/** As {@link READ}: EPOLLOUT. */
export const WRITE = 2
/** Both directions. */
export const READ_WRITE = 3
/** Added to {@link READ}: the `wait` that reports input has received it already. */
export const PREFETCH = 4
/** No direction: hang-ups and errors, and the queue of a socket, are still watched. */
export const NONE = 0

/** A combination of the bits above. */
export type InterestBits = 0 | 1 | 2 | 3 | 5 | 7

/**
 * How often lasting readiness is reported.
 *
 * - `'edge'`: readable at every wait until drained, writable once each time it becomes so.
 * - `'level'`: readable and writable at every wait for as long as they last.
 * - `'oneshot'`: once, then nothing until `modify`.
 */
export type Mode = 'edge' | 'level' | 'oneshot'
/** By their native number. */
export const MODES: readonly Mode[] = ['edge', 'level', 'oneshot']
/** The native number of `'edge'`. */
export const EDGE = 0

/** Bit of an event: receiving, or accepting, does not block. */
export const READABLE = 1
/** Bit of an event: sending does not block. */
export const WRITABLE = 2
/** Bit of an event: the peer has ended its half. */
export const READ_ENDED = 4
/** Bit of an event: both halves have ended. */
export const HANGUP = 8
/** Bit of an event: the socket has an error. */
export const ERROR = 16
/** Bit of an event: the source has left the multiplexer by itself. */
export const DETACHED = 32
/** Bit of an event: the wait has accepted the socket, and has registered it. */
export const ACCEPTED = 128
/** Bit of an event: accept4(2) has failed, for a listener whose connections waits accept. */
export const REFUSED = 256

/** The bits of an event that says only that `fileProgress` has something to say of a socket. */
export const FILE = 64

/** `fileProgress`: a part is to be brought into the page cache, by `loadFile`. */
export const FILE_WANTS = 1
/** `fileProgress`: the oldest file has been sent. */
export const FILE_SENT = 2
/** `fileProgress`: the oldest file could not be read. */
export const FILE_UNREADABLE = 3
/** `fileProgress`: the connection has failed. */
export const FILE_BROKEN = 4
/** `fileProgress`: the program has closed the socket at once. */
export const FILE_DROPPED = 5

/** How many events one wait reports at most. */
export const BATCH_SIZE = 1000
/** How many int32 an event takes in the batch: its handle, its bits, and where its input begins and how long it is. */
export const EVENT_INTS = 4

/** Word of `loopStatus`: 1 while the loop is calling. */
export const CALLING = 0
/** Word of `loopStatus`: whether the multiplexer is referenced. */
export const REFERENCED = 1
/** Word of `loopStatus`: what is asked of the loop. */
export const QUESTION = 2
/** {@link QUESTION}: whether there are events at the end of the call for which no edge will come. */
export const QUESTION_ASKED = 1
/** {@link QUESTION}: there are. */
export const QUESTION_READY = 2
/** The size of `loopStatus`. */
export const LOOP_STATUS_BYTES = 3 * Int32Array.BYTES_PER_ELEMENT

/** What became of the data given to `Socket.send`. */
export type SendStatus = 'sent' | 'partially-sent' | 'queued' | 'not-sent' | 'closed'
/** By their native number. */
export const SEND_STATUSES: readonly SendStatus[] = ['sent', 'partially-sent', 'queued', 'not-sent', 'closed']
/** From this number of {@link SEND_STATUSES} on nothing was taken: the queue is full. */
export const NOT_SENT = 3
/** As {@link NOT_SENT}: nothing can be sent any more. */
export const SEND_CLOSED = 4

/** Where a socket is in its life. */
export type SocketState = 'connecting' | 'open' | 'closing' | 'closed'
/** By the lower bits of the native `state`. */
export const STATES: readonly SocketState[] = ['connecting', 'open', 'closing', 'closed']
/** The number of `'connecting'`. */
export const STATE_CONNECTING = 0
/** Masks the number of {@link STATES}. */
export const STATE_MASK = 3
/** Bit of `state`: the reading half has ended. */
export const STATE_READ_ENDED = 4
/** Bit of `state`: the writing half has ended. */
export const STATE_WRITE_ENDED = 8
/** Bit of `state`: work is left that only a multiplexer does. */
export const STATE_UNFINISHED = 16

/** `close`: the descriptor is closed. */
export const CLOSED_NOW = 0
/** `close`: the multiplexer of the socket sends its queue and closes it then. */
export const CLOSED_AFTER_QUEUE = 1
/** `close`: as {@link CLOSED_AFTER_QUEUE}, but the socket is in no multiplexer. */
export const CLOSED_UNREGISTERED = 2

/** `end` returns state bits, and from this bit on the errno of shutdown(2). */
export const END_FAILURE_SHIFT = 8

/** Which half `shutdown` ends. */
export type ShutdownHow = 'read' | 'write' | 'both'
/** By their native number. */
export const HALVES: readonly ShutdownHow[] = ['read', 'write', 'both']

/** `failure` of a socket that has not failed. */
export const NO_FAILURE = -1
/** `failure` is an errno, and from this bit on the number of the system call that reported it. */
export const FAILURE_CALL_SHIFT = 16
/** The system calls of `failure`, by their number. */
export const FAILED_CALLS = ['read', 'write', 'connect'] as const
/** The errno of `failure`, and of {@link openedMultiplexer}. */
export const ERRNO_MASK = (1 << FAILURE_CALL_SHIFT) - 1
/** The error of a `failure`. */
export function failureError(failure: number, address?: ErrorAddress): SocketError {
  const syscall = FAILED_CALLS[failure >> FAILURE_CALL_SHIFT] ?? 'read'
  return systemError(failure & ERRNO_MASK, syscall, syscall === 'connect' ? address : undefined)
}

/** The calls that `openMultiplexer` fails in, by their number. */
export const OPEN_CALLS = [
  'epoll_create1',
  'epoll_ctl',
  'eventfd',
  'pthread_create',
  'uv_poll_init',
  'timerfd_create',
] as const

/** A backlog for `adoptListener`: the descriptor listens already, and keeps its own. */
export const OWN_BACKLOG = -1

/** The family of a socket: Unix, IPv4 or IPv6. */
export type Family = 0 | 4 | 6
/** The family of Unix sockets. */
export const UNIX = 0
/** ip(7). */
export const IPV4 = 4
/** ipv6(7). */
export const IPV6 = 6

/** Returned for an argument that is no Uint8Array, or for a part that is not within it. */
export const NOT_BYTES = -(2 ** 31)

/** The most bytes that a wait receives of one socket. */
export const PREFETCH_LIMIT = 2048
/** Prefetched input begins at multiples of it. */
export const PREFETCH_ALIGNMENT = 8

/**
 * Milliseconds that a thread sleeps in one native call. `worker.terminate()` takes effect only where JavaScript runs,
 * so a longer sleep is made of several.
 */
export const SLEEP_SLICE = 250

/** The limit of a send queue in bytes, unless it is set. */
export const DEFAULT_SEND_QUEUE_LIMIT = 65_536

/** `SCM_MAX_FD`: how many descriptors one message passes at most. */
export const MAX_DESCRIPTORS = 253

/** How many low bits of a handle are its generation. */
export const GENERATION_BITS = 9

/** The slot of a handle: a small integer, unique among what is open. */
export function slotOf(handle: number): number {
  return handle >>> GENERATION_BITS
}

/**
 * The result of a native call.
 *
 * @throws SocketError where it is an errno, negated.
 */
export function check(result: number, syscall: string, address?: ErrorAddress): number {
  if (result < 0) throw systemError(-result, syscall, address)
  return result
}

/** As {@link check}, of a call that takes over the descriptor `fd`. */
export function checkOwned(result: number, syscall: string, fd: number): number {
  if (result === -constants.errno.EEXIST) {
    const note = `a Socket, a Listener or a Multiplexer of this process has descriptor ${fd} already`
    throw systemError(-result, syscall, undefined, note)
  }
  return check(result, syscall)
}

/**
 * The handle that `openMultiplexer` returned.
 *
 * @throws SocketError of the call that failed.
 */
export function openedMultiplexer(result: number): number {
  if (result >= 0) return result
  const call = OPEN_CALLS[-result >> FAILURE_CALL_SHIFT]!
  const note = call === 'uv_poll_init' ? 'this runtime does not export the functions of libuv' : undefined
  throw systemError(-result & ERRNO_MASK, call, undefined, note)
}
