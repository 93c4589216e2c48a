import { constants } from 'node:os'

import { invalidState, systemError } from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import { collectFiles, sendsFiles } from '../loop/file-transfers.js'
import type { Registrar } from '../loop/registrar.js'
import * as native from '../native.js'
import type { Watcher } from './event.js'
import { StreamSource } from './stream-source.js'

/** A descriptor that its socket has given up, which is the caller's. */
export interface ReleasedSocket {
  readonly fd: number
  /** What was received, and not read: it comes before what the kernel has. */
  readonly unread: Buffer
  /** What was to be sent, and the kernel has not taken. */
  readonly queued: Buffer
}

/** How a socket is ended and closed: after its queue, or at once, by RST or by FIN. */
export abstract class ClosableSource extends StreamSource {
  /**
   * @internal Sends as much of a part that has been checked as the kernel has room for, behind the queue; nothing is
   * queued.
   *
   * @returns as {@link Socket.write}
   */
  tryWrite(bytes: Uint8Array, offset: number, length: number): number {
    const taken =
      length === bytes.length
        ? native.tryWrite(this.handle, bytes)
        : native.tryWrite(this.handle, bytes, offset, length)
    if (taken < 0) this.poller?.reportReady()
    return taken
  }

  /**
   * @internal Sends all of a part that has been checked, or queues it beyond the limit, and ends our half behind it.
   *
   * @returns as the native `end`
   */
  endWith(bytes: Uint8Array, offset: number, length: number): number {
    this.poller?.unreadInput(this)
    const result = native.end(this.handle, bytes, offset, length)
    if (result < 0) this.poller?.reportReady()
    else if ((result & native.STATE_UNFINISHED) !== 0) flushInBackground(this, this.handle)
    return result
  }

  /**
   * Closes gracefully, without waiting: what is queued is sent first, and keeps the process alive until it has been.
   * Closing twice is harmless.
   */
  override close(): void {
    const { poller, watcher } = this
    if (this.closeByWatcher()) reportEnd(poller, watcher, false)
  }

  /** @internal */
  override flushLater(handle: number): void {
    flushInBackground(this, handle)
  }

  /** @internal As {@link close}; the watcher knows. Returns whether no event follows for the watcher. */
  closeByWatcher(): boolean {
    const { poller } = this
    if (this.handle < 0) return this.queueHandle() < 0
    const registration = poller?.registrations.of(this)
    const handle = this.surrender()
    const outcome = native.close(handle)
    if (outcome <= native.CLOSED_NOW) {
      if (outcome < 0) this.setLost(-outcome)
      else this.setSent()
      collectFiles(handle)
      if (registration) poller?.forget(registration)
      return true
    }
    this.setQueueHandle(handle)
    registration?.setBits(0)
    if (outcome === native.CLOSED_AFTER_QUEUE) return false
    // What is watched and not registered natively was relayed: the relay has ended with that.
    const wasRelayed = registration?.watcher !== undefined
    if (wasRelayed) poller!.forget(registration)
    flushInBackground(this, handle)
    return wasRelayed
  }

  /** Closes at once, by RST on TCP; the queue is discarded: SO_LINGER 0, close(2). Harmless once closed. */
  reset(): void {
    const { poller, watcher } = this
    this.resetByWatcher()
    reportEnd(poller, watcher, true)
  }

  /** @internal As {@link reset}; the watcher knows. */
  resetByWatcher(): void {
    this.closeNow(native.reset)
  }

  /**
   * @internal Closes at once, by FIN: what the kernel has taken is sent, and the queue is discarded. The watcher knows.
   */
  discard(): void {
    this.closeNow(native.discard)
  }

  private closeNow(close: (handle: number) => number): void {
    const handle = this.queueHandle()
    if (handle < 0) return
    const registration = this.poller?.registrations.at(handle)
    if (this.handle >= 0) this.surrender()
    else this.keepSent()
    this.setQueueHandle(-1)
    close(handle)
    collectFiles(handle)
    if (registration) this.poller?.forget(registration)
  }

  private get watcher(): Watcher | undefined {
    return this.poller?.registrations.at(this.queueHandle())?.watcher
  }
}

/** The program has closed the socket beneath a connection or stream, which ends with it. */
function reportEnd(poller: Registrar | undefined, watcher: Watcher | undefined, isReset: boolean): void {
  if (watcher?.onDetached) poller!.defer(() => watcher.onDetached!(isReset))
}

/** @internal Takes a socket out of the poller that has it for a watcher, or to send its queue. */
export function leaveWatcher(socket: StreamSource): void {
  if (sendsFiles(socket.handle)) throw invalidState('detach: a file is being sent')
  const { poller } = socket
  const registration = poller?.registrations.of(socket)
  if (!poller || !registration) return
  if (!registration.watcher && !poller.registrations.isFlushOnly(socket)) {
    throw systemError(constants.errno.EEXIST, 'detach', undefined, 'the socket is in a Multiplexer')
  }
  poller.remove(registration)
}
