import { fstatSync } from 'node:fs'
import { constants } from 'node:os'

import { SocketClosedError, SocketError, invalidArgType, invalidState, outOfRange, systemError } from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import { flush } from '../loop/file-transfers.js'
import * as native from '../native.js'
import { INT_MAX, integer, isUint8Array } from '../validate.js'
import type { Listener } from './listener.js'
import type { Socket } from './socket.js'
import { Source } from './source.js'
import { TravellingSource } from './travelling-source.js'

/** What `receiveDescriptors` has received. */
export interface ReceivedDescriptors {
  /** How many bytes; 0 when the peer has ended. */
  readonly length: number
  /** Numbers of open descriptors, in the order in which they were sent. They are the caller's, who closes them. */
  readonly descriptors: number[]
}

const { EAGAIN, EBADF, EBUSY, EINVAL, EOPNOTSUPP, EPERM } = constants.errno

/** node:os does not have it. */
const ETOOMANYREFS = 109

/** What errors say besides the errno, by its number. */
const NOTES = new Map([
  [EINVAL, 'one of the targets cannot be passed'],
  [EOPNOTSUPP, 'descriptors are passed over Unix sockets'],
  [EPERM, 'the peer takes no descriptors (SO_PASSRIGHTS), or a security module forbids it'],
  [ETOOMANYREFS, 'more descriptors have been sent and not been received than RLIMIT_NOFILE allows'],
])

/** What `receiveDescriptors` writes: how many descriptors, whether some were lost, and their numbers. */
const PASSED = new Int32Array(2 + native.MAX_DESCRIPTORS)
const PASSED_BYTES = new Uint8Array(PASSED.buffer)

/** What passes between processes over a Unix socket besides bytes. */
export abstract class PassingSource extends TravellingSource {
  /**
   * Sends bytes with open descriptors over a Unix socket: sendmsg(2), SCM_RIGHTS. The receiver gets descriptors of its own
   * of the same open files, with the first of the bytes. Ours stay open, and ours: close them when they have been sent. What
   * a `Socket` has received and not returned, and what it has queued, does not go along; `close()` of one that was sent
   * closes our descriptor alone, and leaves what is unread to the others.
   *
   * `data` has at least one byte; at most 253 targets go with it. All goes behind what is queued, or nothing does.
   * `'sent'`: the kernel has the descriptors. Bytes for which it has no room are queued, also beyond the limit, and the
   * caller has nothing more to do. `'not-sent'`: it has no room, or something is queued; try again when writable.
   * `'closed'`: nothing can be sent any more. In blocking mode it waits until all has been sent.
   *
   * @throws TypeError for targets that are no sockets, listeners or numbers, and for other data; RangeError for more than
   * 253 targets, a number that is no descriptor, no bytes; SocketClosedError when a target is closed.
   * @throws SocketError with the system call `sendmsg`, and nothing sent; ENOTSUP on a TCP socket, EBADF for a number that
   * is not open, EINVAL for what cannot be passed, ETOOMANYREFS when more descriptors are under way than the process may
   * have open, EPERM, ENOBUFS, ENOMEM. The connection goes on. Why connecting failed, once.
   * @throws Error ERR_INVALID_STATE while a `writeAll` of the socket's connection is pending.
   */
  sendDescriptors(
    targets: readonly (Socket | Listener | number)[],
    data: Uint8Array | string | readonly Uint8Array[],
  ): 'sent' | 'not-sent' | 'closed' {
    const checked = checkTargets(targets)
    const numbers = Int32Array.from(checked, numberOf)
    const pieces = piecesOf(data)
    if (this.handle < 0) return 'closed'
    // A connection has promised to write its bytes before whatever comes later.
    if (this.poller?.registrations.of(this)?.watcher?.isWriting) {
      throw invalidState('sendDescriptors: a writeAll is pending, await it first')
    }
    let status = sendNow(this, pieces, numbers)
    while (status === native.NOT_SENT && this.blocking) {
      native.sleepOn(this.handle, true, native.SLEEP_SLICE)
      status = sendNow(this, pieces, numbers)
    }
    if (status < 0) throw refusal(this, -status, numbers)
    if (status === native.NOT_SENT) return 'not-sent'
    if (status === native.SEND_CLOSED) {
      this.poller?.reportReady()
      return 'closed'
    }
    for (const target of checked) if (typeof target !== 'number') native.setPassed(target.handle)
    return sendRest(this, status) ? 'sent' : 'closed'
  }

  /**
   * Receives into `into`, with the descriptors that came with the bytes, without waiting: recvmsg(2). Descriptors come with
   * the first byte that they were sent with; bytes that were sent before may come in the same call, those that were sent
   * after come in a later one.
   *
   * The descriptors are close-on-exec, and the caller's: adopt or close each. {@link Socket.receive} and whatever else
   * reads a socket (handlers, streams, relays) lets the kernel close them. Bytes that were given back come first, alone.
   *
   * @returns null when nothing is there now; no bytes and no descriptors when the peer has ended.
   * @throws SocketError ERR_DESCRIPTORS_TRUNCATED when descriptors were lost, as at the limit of open ones (RLIMIT_NOFILE):
   * those that came are closed, and the bytes come with the next receive. ENOTSUP on a TCP socket. Why the connection
   * broke, after all that came before; the socket is then closed.
   * @throws SocketClosedError once closed; TypeError for anything but a Uint8Array; RangeError when it is empty or detached.
   */
  receiveDescriptors(into: Uint8Array): ReceivedDescriptors | null {
    this.poller?.unreadInput(this)
    let length = native.receiveDescriptors(this.handle, into, PASSED_BYTES)
    while (length === -EAGAIN && this.blocking) {
      native.sleepOn(this.handle, false, native.SLEEP_SLICE)
      length = native.receiveDescriptors(this.handle, into, PASSED_BYTES)
    }
    if (length === -EAGAIN) return null
    if (length <= 0) return nothingReceived(this, length, into)
    const [count = 0, isTruncated = 0] = PASSED
    if (isTruncated !== 0) throw truncated(this, new Uint8Array(into.buffer, into.byteOffset, length), count)
    return { length, descriptors: [...PASSED.subarray(2, 2 + count)] }
  }
}

function checkTargets(targets: unknown): (Source | number)[] {
  if (!Array.isArray(targets)) throw invalidArgType('targets', 'an instance of Array', targets)
  const { length } = targets
  if (length > native.MAX_DESCRIPTORS) throw outOfRange('targets.length', `<= ${native.MAX_DESCRIPTORS}`, length)
  return Array.from(targets as unknown[], (target, index) => {
    const name = `targets[${index}]`
    if (typeof target === 'number') return integer(target, 0, INT_MAX, name)
    if (!Source.has(target)) throw invalidArgType(name, 'a Socket, a Listener or of type number', target)
    return target
  })
}

/** The number of a target's descriptor. */
function numberOf(target: Source | number, index: number): number {
  if (typeof target === 'number') return target
  const name = `sendDescriptors: targets[${index}]`
  const fd = native.descriptor(target.openHandle(name))
  // EBADF, negated: the connect has failed.
  if (fd < 0) throw new SocketClosedError(`${name}: the socket is closed`)
  return fd
}

function piecesOf(data: unknown): Uint8Array[] {
  const pieces: unknown[] = Array.isArray(data) ? data : [typeof data === 'string' ? Buffer.from(data) : data]
  const checked: Uint8Array[] = []
  let length = 0
  for (const piece of pieces) {
    if (!isUint8Array(piece)) throw invalidArgType('data', 'a Uint8Array, a string or an array of Uint8Arrays', data)
    length += piece.length
    checked.push(piece)
  }
  if (length === 0) throw outOfRange('data.length', '>= 1: descriptors are sent with a byte', length)
  return checked
}

/** Sends what is queued, and then the descriptors. Returns the native number. */
function sendNow(source: PassingSource, pieces: Uint8Array[], numbers: Int32Array): number {
  const { handle, poller } = source
  // The connection broke, or is writable again.
  if (source.unsent > 0 && flush(handle, source.blocking) !== 0) poller?.reportReady()
  return native.sendDescriptors(handle, pieces, new Uint8Array(numbers.buffer))
}

/** The bytes that the kernel has not taken are sent later, in blocking mode now. Returns false if the connection breaks. */
function sendRest(source: PassingSource, status: number): boolean {
  if (status === 0) return true
  if (!source.blocking) {
    flushInBackground(source, source.handle)
    return true
  }
  for (;;) {
    const flushed = flush(source.handle, true)
    if (flushed !== 0) return flushed > 0
    native.sleepOn(source.handle, true, native.SLEEP_SLICE)
  }
}

/** Why nothing was sent. */
function refusal(source: PassingSource, errno: number, numbers: Int32Array): Error {
  if (source.hasFailed || errno === EBUSY) return source.reasonFor(errno, 'sendmsg')
  const index = errno === EBADF ? numbers.findIndex(isClosed) : -1
  const note = index < 0 ? NOTES.get(errno) : `targets[${index}] (${numbers[index]}) is not an open descriptor`
  return systemError(errno, 'sendmsg', undefined, note)
}

function isClosed(fd: number): boolean {
  try {
    fstatSync(fd)
    return false
  } catch {
    return true
  }
}

function nothingReceived(source: PassingSource, length: number, into: Uint8Array): ReceivedDescriptors {
  if (length === native.NOT_BYTES) throw invalidArgType('into', 'a Uint8Array', into)
  source.openHandle('receiveDescriptors')
  if (length === -EOPNOTSUPP) throw systemError(EOPNOTSUPP, 'recvmsg', undefined, NOTES.get(EOPNOTSUPP))
  if (into.byteLength === 0) throw outOfRange('into.byteLength', '>= 1 (it is empty or detached)', into.byteLength)
  if (length < 0) throw source.reasonFor(-length, 'recvmsg')
  return { length: 0, descriptors: [] }
}

/** The bytes that have come without all their descriptors are given back. */
function truncated(source: PassingSource, bytes: Uint8Array, count: number): SocketError {
  native.unread(source.handle, bytes)
  source.poller?.reportReady()
  const rest = `the ${count} that came were closed. The process may have no more descriptors (RLIMIT_NOFILE)`
  const message = `recvmsg: some of the descriptors that were sent were lost; ${rest}`
  return new SocketError(message, 'ERR_DESCRIPTORS_TRUNCATED', { syscall: 'recvmsg' })
}
