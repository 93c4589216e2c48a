import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'

import { invalidState, systemError } from '../errors.js'
import { sendsFiles } from '../loop/file-transfers.js'
import * as native from '../native.js'
import type { Address } from './address.js'
import { type ReleasedSocket, leaveWatcher } from './closable-source.js'
import { type DetachedSocket, detachedSocket } from './detached-socket.js'
import { SendingSource } from './sending-source.js'

const { EBUSY, ENOTCONN } = constants.errno

/** How a socket is given up while its connection goes on. */
export abstract class TravellingSource extends SendingSource {
  /** @internal Why a call failed: as `Socket.reasonFor`. */
  abstract reasonFor(errno: number, syscall: string): Error

  /** @internal Where it connects to; undefined where that is not known. */
  protected abstract get target(): Address | undefined

  /**
   * Gives the socket up, for {@link Socket.attach} in this thread or another one of the process. It keeps the descriptor,
   * with the options that the kernel has of it, what has been received and not read, and what is queued and not sent. It
   * also keeps a shutdown that waits for that, which halves have ended, the counters and `sendQueueLimit`, but not
   * `blocking`.
   *
   * Here it is closed from then on; its peer notices nothing. It leaves its multiplexer. Until it is attached nothing is
   * received or sent, also not what is queued, and the process may end.
   *
   * A detached socket belongs to this thread until another one has attached it: if the thread ends before, it is closed.
   *
   * @returns a plain object, for `postMessage`.
   * @throws SocketClosedError; SocketError EBUSY for a socket in a relay, and while a file is sent; why connecting failed;
   * Error ERR_INVALID_STATE for the socket of a connection, which has a `detach` of its own, or under a stream.
   */
  detach(): DetachedSocket {
    const known = this.openHandle('detach')
    this.checkDetachable()
    const { poller, localAddress, remoteAddress = this.target } = this
    const registration = poller?.registrations.of(this)
    if (registration?.watcher) throw invalidState('detach: the socket belongs to a connection or a stream')
    if (registration) poller!.remove(registration)
    const id = randomUUID()
    const handle = this.surrender()
    const result = native.detach(handle, id)
    if (result === 0) return detachedSocket(id, localAddress, remoteAddress)
    this.handle = known
    throw this.guarded().reasonFor(-result, 'detach')
  }

  /** @internal Whether bytes that were given back have not been received again. */
  get hasUnread(): boolean {
    return native.unreadLength(this.handle) > 0
  }

  /** @internal Throws EBUSY as {@link detach}. */
  checkDetachable(): void {
    if (native.unreadLength(this.handle) === -EBUSY) throw systemError(EBUSY, 'detach', undefined, 'it is relayed')
    if (sendsFiles(this.handle)) throw systemError(EBUSY, 'detach', undefined, 'a file is being sent')
  }

  /**
   * @internal Gives the descriptor up, open, with all that is unread and unsent; from here on the socket is closed. It
   * leaves the poller in which a watcher or its queue has it. The descriptor does not block and is close-on-exec, and may
   * be connecting. A shutdown that waits for the queue is left to the caller: see `writeEnded` before.
   *
   * @throws SocketError why the connection broke, and the socket is then closed; EEXIST when it is in a Multiplexer.
   * @throws SocketClosedError once closed; Error ERR_INVALID_STATE while a file is sent.
   */
  giveUp(): ReleasedSocket {
    const handle = this.openHandle('detach')
    if (this.hasFailed) throw this.reasonFor(ENOTCONN, 'read')
    leaveWatcher(this)
    const unread = Buffer.alloc(native.unreadLength(handle))
    const queued = Buffer.alloc(native.queued(handle))
    if (unread.length > 0) native.receive(handle, unread)
    native.takeQueue(handle, queued)
    const fd = native.descriptor(handle)
    native.disown(this.surrender())
    return { fd, unread, queued }
  }
}
