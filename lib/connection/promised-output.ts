import { SocketClosedError, invalidState } from '../errors.js'
import type { OpenFile, SendFileOptions } from '../model/send-file.js'
import { type Data, piecesOf, viewOf } from './data.js'
import { Output } from './output.js'
import type { PendingWrite } from './writing/pending-writes.js'
import { WholeWrite } from './writing/whole-write.js'

/** What a program writes to a connection by promises. */
export abstract class PromisedOutput<D> extends Output<D> {
  /** @internal Whether it has broken, and its `error` handler runs. */
  protected abstract get isFailing(): boolean

  /** @internal Whether something else reads and writes in place of the program. */
  protected abstract get isAdapted(): boolean

  /**
   * Writes all of `data`, or of the pieces of an array, as there is room. Several at once go one after the other, before
   * whatever is written later. The bytes must not be changed before it is done.
   *
   * Without half-open connections our half ends only when what was given to it before the peer's end has been accepted.
   *
   * @returns a promise that is fulfilled when all has been accepted: in the kernel, and in the queue of `sendQueueLimit`
   * bytes.
   * @throws (rejects) TypeError ERR_INVALID_ARG_TYPE for other data. SocketError the reason why the connection broke;
   * SocketClosedError when our half has ended or ends meanwhile, and when the connection is closed, terminated or
   * detached. These have `accepted`, how many of the bytes had been accepted. Error ERR_INVALID_STATE where a stream or a
   * relay writes.
   */
  writeAll(data: Data | readonly Data[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const bytes = viewOf(data)
      this.enqueue(new WholeWrite(this, bytes ? [bytes] : piecesOf(data), resolve, reject), 'writeAll')
    })
  }

  /**
   * Waits until the queue is empty: until the kernel has taken all that was written before.
   *
   * @throws (rejects) SocketError the reason why the connection broke; SocketClosedError when it was closed before that:
   * terminated, detached. Error ERR_INVALID_STATE where a stream or a relay writes.
   */
  drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const wait: PendingWrite = { attempt: () => this.flush(), resolve, reject, isEmpty: true }
      if (!this.isClosed && !this.isFailing) this.enqueue(wait, 'drained')
      else if (this.isFailing || this.hasLostOutput) reject(this.refusal('drained'))
      else resolve()
    })
  }

  /**
   * As {@link Socket.sendFile}: sends a regular file, or a part of it, behind what was written. What is written later
   * comes behind it; so does the end of our half.
   *
   * @throws (rejects) as {@link Socket.sendFile}; SocketClosedError also where the connection is not open.
   */
  sendFile(file: OpenFile | number, options?: SendFileOptions): Promise<number> {
    const { socket } = this
    if (!socket) return Promise.reject(new SocketClosedError('sendFile: the connection is not open'))
    if (this.hasPendingBytes) return Promise.reject(invalidState('sendFile: a writeAll is pending, await it first'))
    const sent = socket.sendFile(file, options)
    if (socket.handle >= 0) this.onWrite(socket, false)
    return sent
  }

  /** @internal */
  private enqueue(write: PendingWrite, verb: string): void {
    if (!this.socket || this.isClosed) return write.reject(this.refusal(verb))
    if (this.isAdapted) throw invalidState(`${verb}: a stream or a relay writes this connection`)
    const { waiting, awaitsQueue } = this
    const isFirst = !waiting.hasPending
    waiting.add(write)
    if (isFirst) waiting.goOn()
    if (this.awaitsQueue !== awaitsQueue && !this.isClosed) this.updateInterest()
  }

  /** @internal */
  refusal(verb: string): Error {
    const isOpen = this.socket !== undefined && this.socket.handle >= 0
    if (!isOpen) return new SocketClosedError(`${verb}: the connection is closed`)
    return this.socket!.failure ?? new SocketClosedError(`${verb}: our half of the connection has ended`)
  }
}
