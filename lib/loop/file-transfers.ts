import { SocketClosedError, type SocketError, systemError } from '../errors.js'
import type { Source } from '../model/source.js'
import * as native from '../native.js'

/** A file that a socket sends. */
export interface FileTransfer {
  /** By which the native side names it. */
  readonly id: number
  readonly source: Source
  /** It has ended; `sent` is how many bytes the kernel has taken. */
  settle(sent: number, error?: SocketError): void
}

/** The files of each socket that sends any, in order, by its handle. */
const transfers = new Map<number, FileTransfer[]>()

/** What `fileProgress` writes: the bytes that were sent, and an errno or a failure. */
const PROGRESS = new Float64Array(2)
const PROGRESS_BYTES = new Uint8Array(PROGRESS.buffer)

/** Whether the socket of a handle sends a file. */
export function sendsFiles(handle: number): boolean {
  return transfers.size > 0 && transfers.has(handle)
}

/** A file is sent behind those that the socket of a handle sends already. */
export function addFile(handle: number, transfer: FileTransfer): void {
  const pending = transfers.get(handle)
  if (pending) pending.push(transfer)
  else transfers.set(handle, [transfer])
  collectFiles(handle)
}

/** Sends a file no more. Returns how many bytes the kernel has taken; undefined for a file that has ended. */
export function cancelFile(handle: number, transfer: FileTransfer): number | undefined {
  const sent = native.cancelFile(handle, transfer.id)
  if (sent >= 0) remove(handle, transfer)
  goOn(handle, transfer.source)
  return sent >= 0 ? sent : undefined
}

function remove(handle: number, transfer: FileTransfer): void {
  const rest = transfers.get(handle)!.filter((other) => other !== transfer)
  if (rest.length > 0) transfers.set(handle, rest)
  else transfers.delete(handle)
}

/** Takes note of what has become of the files of a socket, also of one that is gone. Most sockets have none. */
export function collectFiles(handle: number): void {
  if (transfers.size === 0) return
  const first = transfers.get(handle)?.[0]
  if (!first) return
  const kind = native.fileProgress(handle, PROGRESS_BYTES)
  if (kind === native.FILE_WANTS) return load(handle, first.source)
  if (kind < native.FILE_SENT) return
  const [sent = 0, code = 0] = PROGRESS
  remove(handle, first)
  first.settle(sent, reason(kind, code))
  collectFiles(handle)
}

/** Why a file was not sent; undefined when it was. */
function reason(kind: number, code: number): SocketError | undefined {
  if (kind === native.FILE_UNREADABLE) return systemError(code, 'sendfile')
  if (kind === native.FILE_BROKEN) return native.failureError(code)
  return kind === native.FILE_DROPPED ? new SocketClosedError('sendFile: the socket was closed at once') : undefined
}

/** Has what comes next of a file brought into memory, and sent then. */
function load(handle: number, source: Source): void {
  const sendOn = (): void => goOn(handle, source)
  const loading = native.loadFile(handle)
  if (typeof loading !== 'number') loading.then(sendOn, sendOn)
}

/** Something may have been sent outside of a wait. */
function goOn(handle: number, source: Source): void {
  collectFiles(handle)
  source.poller?.reportReady()
}

/**
 * Sends what can be sent now. With `waits`, as in blocking mode, files are read from the disk as they are sent.
 *
 * @returns as the native `flush`
 */
export function flush(handle: number, waits = false): number {
  if (waits && sendsFiles(handle)) native.allowFileWaits(handle)
  const flushed = native.flush(handle)
  collectFiles(handle)
  return flushed
}
