import { constants } from 'node:os'

import { systemError } from '../errors.js'
import { flushInBackground } from '../loop/background-flush.js'
import type { Poller } from '../loop/poller.js'
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

/** How a socket is closed: after its queue, or at once, by RST or by FIN. */
export abstract class ClosableSource extends StreamSource {
  /**
   * Closes gracefully, without waiting: what is queued is sent first, and keeps the process alive until it has been.
   * Closing twice is harmless.
   */
  override close(): void {
    const { poller, watcher } = this
    this.closeByWatcher()
    if (this.queueHandle() < 0) reportEnd(poller, watcher, false)
  }

  /** @internal As {@link close}; the watcher knows. */
  closeByWatcher(): void {
    const { poller } = this
    if (this.handle < 0) return
    const registration = poller?.registrations.of(this)
    const handle = this.surrender()
    const outcome = native.close(handle)
    if (outcome <= native.CLOSED_NOW) {
      if (outcome < 0) this.setLost(-outcome)
      if (registration) poller?.forget(registration)
      return
    }
    this.setQueueHandle(handle)
    registration?.setBits(0)
    if (outcome === native.CLOSED_UNREGISTERED) flushInBackground(this, handle)
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
    this.setQueueHandle(-1)
    close(handle)
    if (registration) this.poller?.forget(registration)
  }

  private get watcher(): Watcher | undefined {
    return this.poller?.registrations.at(this.queueHandle())?.watcher
  }
}

/** The program has closed the socket beneath a connection or stream, which ends with it. */
function reportEnd(poller: Poller | undefined, watcher: Watcher | undefined, isReset: boolean): void {
  if (watcher?.onDetached) poller!.defer(() => watcher.onDetached!(isReset))
}

/** @internal Takes a socket out of the poller that has it for a watcher, or to send its queue. */
export function leaveWatcher(socket: StreamSource): void {
  const { poller } = socket
  const registration = poller?.registrations.of(socket)
  if (!poller || !registration) return
  if (!registration.watcher && !poller.registrations.isFlushOnly(socket)) {
    throw systemError(constants.errno.EEXIST, 'detach', undefined, 'the socket is in a Multiplexer')
  }
  poller.remove(registration)
}
