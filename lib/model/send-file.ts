import { constants } from 'node:os'

import { addAbortCallback, removeAbortCallback } from '../abort.js'
import {
  SocketClosedError,
  type SocketError,
  abortError,
  invalidArgType,
  invalidArgValue,
  outOfRange,
  systemError,
} from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import { type FileTransfer, addFile, cancelFile, sendsFiles } from '../loop/file-transfers.js'
import * as native from '../native.js'
import { INT_MAX, abortSignal, checkOptions, integer } from '../validate.js'
import type { StreamSource } from './stream-source.js'

/** An open file, such as a `FileHandle` of `node:fs/promises`. */
export interface OpenFile {
  /** The number of its descriptor; -1 once closed. */
  readonly fd: number
}

/** Which part of a file `sendFile` sends. */
export interface SendFileOptions {
  /** The offset of the first byte. Beyond the end of the file nothing is sent. **Default:** 0. */
  readonly start?: number | undefined
  /** The offset of the last byte, as in `fs.createReadStream`. **Default:** that of the last byte that there is. */
  readonly end?: number | undefined
  /** Ends it: what was sent stays sent, the rest is not, and what is queued behind it comes next. */
  readonly signal?: AbortSignal | undefined
}

const KNOWN = ['start', 'end', 'signal'] as const

const { EISDIR, ENODEV, ENOTCONN, EPIPE, ESPIPE } = constants.errno

/** What is not a regular file, by the errno that stands for it. */
const KINDS = new Map([
  [-EISDIR, 'a directory'],
  [-ESPIPE, 'a pipe or a socket'],
  [-ENODEV, 'a device, or a file that is made as it is read'],
])

/** A file that is being sent, until its promise is settled. */
class SentFile implements FileTransfer {
  readonly #signal: AbortSignal | undefined
  readonly #resolve: (sent: number) => void
  readonly #reject: (error: Error) => void
  readonly #abort = (): void => {
    const sent = cancelFile(this.#handle, this)
    if (sent !== undefined) this.#reject(abortError(this.#signal!, { bytesSent: sent }))
  }
  /** That of the source, also when that is closing. */
  readonly #handle: number
  #isSettled = false

  constructor(
    readonly source: StreamSource,
    readonly id: number,
    signal: AbortSignal | undefined,
    [resolve, reject]: [(sent: number) => void, (error: Error) => void],
  ) {
    this.#handle = source.handle
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Ends it when its signal is aborted; at once, when that is none of Node's and throws. */
  watchSignal(): void {
    if (!this.#signal || this.#isSettled) return
    try {
      addAbortCallback(this.#signal, this.#abort)
    } catch (error) {
      const sent = cancelFile(this.#handle, this)
      if (sent !== undefined) this.#reject(Object.assign(error as Error, { bytesSent: sent }))
    }
  }

  settle(sent: number, error?: SocketError): void {
    this.#isSettled = true
    if (this.#signal) removeAbortCallback(this.#signal, this.#abort)
    if (error) this.#reject(Object.assign(error, { bytesSent: sent }))
    else this.#resolve(sent)
  }
}

/** @internal As `Socket.sendFile`. */
export async function sendFile(
  source: StreamSource,
  file: OpenFile | number,
  options: SendFileOptions = {},
): Promise<number> {
  const fd = descriptorOf(file)
  const { start, end, signal } = checked(options)
  const handle = source.openHandle('sendFile')
  if (signal?.aborted) throw abortError(signal, { bytesSent: 0 })
  const id = native.sendFile(handle, fd, start, end)
  if (id < 0) throw refusal(source, file, id)
  return new Promise((...settle) => {
    const sent = new SentFile(source, id, signal, settle)
    addFile(handle, sent)
    if (sendsFiles(handle)) flushInBackground(source, handle)
    sent.watchSignal()
  })
}

function descriptorOf(file: unknown): number {
  if (typeof file === 'number') return integer(file, 0, INT_MAX, 'file')
  const fd = typeof file === 'object' && file !== null ? (file as Partial<OpenFile>).fd : undefined
  if (typeof fd !== 'number') throw invalidArgType('file', 'a FileHandle or of type number', file)
  return fd
}

/** `end` is behind the last byte. */
function checked(options: SendFileOptions): { start: number; end: number; signal: AbortSignal | undefined } {
  checkOptions(options, KNOWN)
  const { start = 0, end = Infinity, signal } = options
  integer(start, 0, Number.MAX_SAFE_INTEGER, 'options.start')
  if (end !== Infinity) integer(end, 0, Number.MAX_SAFE_INTEGER, 'options.end')
  if (start > end) throw outOfRange('options.start', `<= "options.end" (here: ${end})`, start)
  if (signal !== undefined) abortSignal(signal, 'options.signal')
  return { start, end: Math.min(end + 1, Number.MAX_SAFE_INTEGER), signal }
}

function refusal(source: StreamSource, file: OpenFile | number, errno: number): Error {
  const kind = KINDS.get(errno)
  if (kind !== undefined) return invalidArgValue('file', file, `must be a regular file, and is ${kind}`)
  if (errno !== -EPIPE && errno !== -ENOTCONN) return systemError(-errno, 'sendfile')
  const error = source.failure ?? new SocketClosedError('sendFile: the writing half has ended')
  return Object.assign(error, { bytesSent: 0 })
}
