// node:child_process takes the handle of a socket that is sent to a child, or that is a standard stream of one. Ours
// have a handle of Node for that alone, while it asks.

import { channel } from 'node:diagnostics_channel'
import { closeSync } from 'node:fs'

import { SocketError } from '../errors.js'
import type { SocketBase } from './base.js'
import { HANDLE, TOTALS } from './fields.js'
import type { SocketHandle } from './handle.js'
import { type NativeHandle, nativeHandleOver } from './native-handle.js'
import { IS_NODE } from '../node-version.js'

type Method = (this: unknown, ...args: unknown[]) => unknown

interface Sender {
  /** What `send` calls; set on each child that has a channel, and on `process` in a child. */
  _send?: Method
}

interface ChildPrototype extends Sender {
  spawn: Method
}

/** Published before a child is spawned. */
const children = channel('child_process')
const natives = new WeakMap<SocketHandle, NativeHandle>()
let depth = 0

/** Whether it is node:child_process that asks for the handle of a socket now. */
export function isChildProcessAsking(): boolean {
  return depth > 0
}

/** Has sockets of ours be taken by `subprocess.send`, `process.send` and the option `stdio`. */
export function serveChildProcess(): void {
  if (!IS_NODE) return
  const { _send: send } = process as Sender
  if (typeof send === 'function') (process as Sender)._send = asking(send)
  children.subscribe(onFirstChild)
}

function onFirstChild(): void {
  children.unsubscribe(onFirstChild)
  const prototype = process.getBuiltinModule('node:child_process').ChildProcess.prototype as unknown as ChildPrototype
  prototype.spawn = asking(prototype.spawn)
  Object.defineProperty(prototype, '_send', {
    configurable: true,
    set(this: object, send: Method) {
      Object.defineProperty(this, '_send', {
        value: asking(send),
        writable: true,
        enumerable: true,
        configurable: true,
      })
    },
  })
}

function asking(method: Method): Method {
  return function (...args) {
    depth++
    try {
      return method.apply(this, args)
    } finally {
      depth--
    }
  }
}

/** A handle of Node over the same connection, until the stream closes; null before it has connected. */
export function handleForChild(stream: SocketBase): NativeHandle | null {
  const handle = stream[HANDLE]
  if (!handle?.socket || stream.connecting) return null
  return natives.get(handle) ?? makeNative(stream, handle, handle.socket.fd)
}

function makeNative(stream: SocketBase, handle: SocketHandle, fd: number): NativeHandle {
  const native = nativeHandleOver(fd)
  natives.set(handle, native)
  const readStop = () => {
    handle.readStop()
    return 0
  }
  Object.assign(native, { readStop })
  stream.once('close', () => {
    if (natives.get(handle) === native) native.close()
  })
  return native
}

/** The connection is the child's: the stream has no handle from here on, but what it is writing is sent. */
export function leaveToChild(stream: SocketBase): void {
  const handle = stream[HANDLE]
  if (!handle) return
  natives.delete(handle)
  stream[TOTALS] = { read: stream.bytesRead, written: handle.bytesWritten }
  handle.readStop()
  stream[HANDLE] = null
  handle.afterWrite(() => giveUp(handle))
}

function giveUp(handle: SocketHandle): void {
  try {
    const { fd, unread } = handle.giveUp()
    closeSync(fd)
    // It was received before the connection was sent.
    if (unread.length > 0) handle.owner.onChunk(unread)
  } catch (error) {
    // It has broken, and is closed.
    if (!(error instanceof SocketError)) throw error
  }
}
