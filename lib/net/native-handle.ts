import nodeNet from 'node:net'

import * as native from '../native.js'
import type { ListenerHandle } from './listener-handle.js'

/** A handle of libuv, as node:net has it: `TCP` or `Pipe`; or one that node:cluster makes for a worker. */
export interface NativeHandle {
  /** -1 once closed; undefined for a worker's, which has no descriptor. */
  readonly fd?: number
  close(onClosed?: () => void): void
  ref(): void
  unref(): void
  hasRef?(): boolean
  getAsyncId?(): number
  getsockname?(out: object): number
  listen?(backlog: number): number
  onconnection?: (status: number, connection: NativeHandle) => void
}

/** By what they expose: so that a server can be passed to `listen` by its `_handle`. */
const owners = new WeakMap<object, ListenerHandle>()

/** The handle of ours that is behind one of Node's. */
export function ownerOf(handle: object): ListenerHandle | undefined {
  return owners.get(handle)
}

/** Whether it is a handle of libuv with a descriptor. */
export function isNativeHandle(value: unknown): value is NativeHandle & { readonly fd: number } {
  const handle = value as Partial<NativeHandle> | null
  return typeof handle === 'object' && typeof handle?.fd === 'number' && typeof handle.getAsyncId === 'function'
}

/**
 * A handle of Node over a duplicate of a descriptor. It is never read from and does not listen.
 *
 * @throws SocketError of fcntl(2)
 */
export function nativeHandleOver(fd: number): NativeHandle {
  const socket = new nodeNet.Socket({
    fd: native.check(native.duplicate(fd), 'fcntl'),
    readable: false,
    writable: false,
    manualStart: true,
  } as nodeNet.SocketConstructorOpts) as nodeNet.Socket & { _handle: NativeHandle | null }
  const handle = socket._handle!
  socket._handle = null
  return handle
}

/**
 * Has what is done to a handle of Node done to ours.
 *
 * @returns closes the handle itself
 */
export function expose(handle: NativeHandle, ours: ListenerHandle): NativeHandle['close'] {
  // A function of its own in a worker of node:cluster, where it also reports to the primary.
  const { close } = handle
  owners.set(handle, ours)
  Object.assign(handle, {
    close: (onClosed?: () => void) => ours.close(onClosed),
    ref: () => ours.ref(),
    unref: () => ours.unref(),
    hasRef: () => ours.hasRef,
  })
  return (onClosed) => close.call(handle, onClosed)
}

let symbolOfOwner: symbol | undefined

/** By what a handle has its server, for node:cluster, which looks whether that is full. */
export function setOwner(handle: NativeHandle, server: object): void {
  symbolOfOwner ??= findSymbolOfOwner()
  if (symbolOfOwner) (handle as unknown as Record<symbol, unknown>)[symbolOfOwner] = server
}

function findSymbolOfOwner(): symbol | undefined {
  const handle = { close() {} }
  void new nodeNet.Socket({ handle, manualStart: true } as nodeNet.SocketConstructorOpts)
  return Object.getOwnPropertySymbols(handle).find(({ description }) => description === 'owner_symbol')
}
