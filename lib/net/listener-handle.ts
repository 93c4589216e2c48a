import { unlinkSync } from 'node:fs'
import { resolve } from 'node:path'

import { isExhausted, systemError } from '../errors.js'
import { AsyncContext } from '../loop/async-context.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { throwLater } from '../loop/timers.js'
import type { Address } from '../model/address.js'
import type { Listener } from '../model/listener.js'
import { Socket } from '../model/socket.js'
import { DEFAULT_SEND_QUEUE_LIMIT, READ } from '../native.js'
import { errnoException } from './errors.js'
import { ACCEPTED_INTEREST } from './input-handle.js'
import { LoopReference } from './loop-reference.js'
import { type NativeHandle, expose, nativeHandleOver } from './native-handle.js'
import { IS_NODE } from '../node-version.js'
import { DEFAULT_SETTINGS, type Settings } from './settings.js'

/** To whom a handle gives what it accepts. */
export interface ListenerOwner {
  /**
   * `handle` is undefined for a connection that another process has accepted. With `isWatched` the shared poller watches
   * the socket already.
   */
  onAccepted(socket: Socket, isUnix: boolean, handle?: ListenerHandle, isWatched?: boolean): void
  onAcceptError(error: Error): void
}

/** What a listening handle of libuv is to a server of Node: a listener in the shared poller, and its accept loop. */
export class ListenerHandle extends LoopReference {
  readonly listener: Listener
  readonly isUnix: boolean
  readonly isOwn: boolean
  /** What accepted sockets have from the listening one. */
  inherited: Readonly<Settings> = DEFAULT_SETTINGS
  /** The file to remove at the close: libuv does so without a look at it. */
  readonly #path: string | undefined
  #owner: ListenerOwner | undefined
  /** That of the call of `listen`. */
  #context: AsyncContext | undefined
  #native: NativeHandle | undefined
  #closeNative: ((onClosed?: () => void) => void) | undefined

  /**
   * @param isOwn whether no other process has the listening socket
   * @param native the handle of Node that the descriptor is a duplicate of: closed with this one
   */
  constructor(listener: Listener, isOwn: boolean, path?: string, native?: NativeHandle) {
    super()
    this.listener = listener
    this.isOwn = isOwn
    const { address } = listener
    this.isUnix = address === undefined || 'path' in address
    this.#path = path?.startsWith('\0') === false ? resolve(path) : undefined
    if (native) this.#expose(native)
  }

  /**
   * Accepts for `owner` from here on.
   *
   * @throws SocketError of epoll_ctl(2)
   */
  start(owner: ListenerOwner): void {
    this.#owner = owner
    this.#context = new AsyncContext()
    if (!this.listener.poller) sharedPoller().watch(this.listener, READ, this)
    sharedPoller().serve(this.listener, ACCEPTED_INTEREST, DEFAULT_SEND_QUEUE_LIMIT, Infinity)
    this.updateReference()
  }

  get isOpen(): boolean {
    return this.listener.handle >= 0
  }

  get address(): Address | undefined {
    return this.listener.address
  }

  /** The handle of Node over the same listening socket, for what takes nothing else: `subprocess.send(server)`. */
  get native(): NativeHandle | null {
    // Sockets of Bun and Deno have no such handle.
    if (!this.isOpen || !IS_NODE) return null
    return this.#native ?? this.#expose(nativeHandleOver(this.listener.fd))
  }

  #expose(handle: NativeHandle): NativeHandle {
    this.#closeNative = expose(handle, this)
    return (this.#native = handle)
  }

  /** `onClosed` is for the handle of Node, where there is one. */
  close(onClosed?: () => void): void {
    if (!this.isOpen) return
    if (this.#path !== undefined) unlink(this.#path)
    this.#closeNative?.(onClosed)
    this.listener.close()
  }

  /** A listening handle of libuv is active until it is closed. */
  protected override get isActive(): boolean {
    return this.#owner !== undefined && this.isOpen
  }

  /** @internal A wait has accepted a connection. Of a socket that could not be watched its stream tries it once more. */
  onAccepted(handle: number, errno: number): void {
    const socket = Socket.of(handle)
    this.#deliver(errno === 0 ? accepted : acceptedUnwatched, socket)
  }

  /**
   * @internal What the kernel does not let be accepted stays in the backlog, and is tried again later: silently where
   * descriptors or memory have run out.
   */
  onAcceptRefused(errno: number): void {
    if (!isExhausted(systemError(errno, 'accept4'))) this.#deliver(failed, errnoException(-errno, 'accept'))
  }

  /** @internal Never called: waits accept what they would report. */
  onEvent(): void {}

  /** What a listener of the program throws ends nothing but its own call. */
  #deliver<T>(act: (this: ListenerOwner, value: T, handle: ListenerHandle) => void, value: T): void {
    const context = this.#context!
    try {
      context.run(act, this.#owner!, value, this)
    } catch (error) {
      throwLater(error, context)
    }
  }

  /** @internal The listener has been closed, by the program itself perhaps. */
  onDetached(): void {
    this.updateReference()
    this.#context = undefined
    this.#owner = undefined
  }
}

function accepted(this: ListenerOwner, socket: Socket, handle: ListenerHandle): void {
  this.onAccepted(socket, handle.isUnix, handle, true)
}

function acceptedUnwatched(this: ListenerOwner, socket: Socket, handle: ListenerHandle): void {
  this.onAccepted(socket, handle.isUnix, handle)
}

function failed(this: ListenerOwner, error: Error): void {
  this.onAcceptError(error)
}

function unlink(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone, or has to stay: libuv ignores it too.
  }
}
