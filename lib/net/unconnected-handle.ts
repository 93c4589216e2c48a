import { closeSync } from 'node:fs'
import { constants } from 'node:os'

import { nextTick } from '../loop/timers.js'
import { familyOf, toAddress } from '../model/address.js'
import * as native from '../native.js'
import { errnoException } from './errors.js'
import { type Done, SocketHandle } from './handle.js'
import type { Pieces } from './pending-write.js'

/** The handle of a descriptor of the program's that is still to be connected. */
export class UnconnectedHandle extends SocketHandle {
  /** Undefined once it is that of a socket. */
  #fd: number | undefined

  private constructor(isUnix: boolean, fd: number) {
    super(isUnix)
    this.#fd = fd
  }

  /** Null for one that is no stream socket, is connected, or listens: it stays as it was. */
  static overDescriptor(fd: number): UnconnectedHandle | null {
    const handle = native.adoptUnconnected(fd)
    if (handle < 0) return null
    const family = familyOf(toAddress(native.localAddress(handle)))
    native.disown(handle)
    return new UnconnectedHandle(family === native.UNIX, fd)
  }

  /** The descriptor, once. */
  take(): number | undefined {
    const fd = this.#fd
    this.#fd = undefined
    return fd
  }

  /** The kernel would say ENOTCONN. */
  override readStart(): void {
    if (this.socket) super.readStart()
  }

  override write(pieces: Pieces, length: number, done: Done): void {
    if (this.socket) super.write(pieces, length, done)
    else done(errnoException(this.isUnix ? -constants.errno.ENOTCONN : -constants.errno.EPIPE, 'write'))
  }

  override shutdown(done: Done): void {
    if (this.socket) super.shutdown(done)
    else nextTick(() => done(errnoException(-constants.errno.ENOTCONN, 'shutdown')))
  }

  override close(onClosed: () => void, reason?: Error): void {
    super.close(onClosed, reason)
    const fd = this.take()
    if (fd !== undefined) closeSync(fd)
  }
}
