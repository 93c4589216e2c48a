import { isUint8Array } from '../validate.js'
import type { SocketBase } from './base.js'
import { contextOf } from './context.js'
import type { UserBuffer } from './input-handle.js'

/** Where a stream puts its input in the place of events `data`: net.Socket's option `onread`. */
export interface OnRead {
  /** The array for all input, or what gives one for each piece of it. */
  readonly buffer: Uint8Array | (() => Uint8Array)
  /** Gets the number of bytes and the array; returns false to stop reading, until `resume()`. */
  callback(count: number, buffer: Uint8Array): boolean | void
}

const ON_READ = Symbol('onread')

type WithOnRead = SocketBase & { [ON_READ]?: OnRead }

/** Sets it, where it is complete: Node ignores it otherwise. */
export function setOnRead(socket: SocketBase, onread: OnRead): void {
  const { buffer, callback } = onread
  const isComplete = (isUint8Array(buffer) || typeof buffer === 'function') && typeof callback === 'function'
  if (isComplete) (socket as WithOnRead)[ON_READ] = onread
}

/** The buffer of a stream that has `onread`. */
export function userBufferOf(socket: SocketBase): UserBuffer | undefined {
  const onread = (socket as WithOnRead)[ON_READ]
  if (!onread) return undefined
  const { buffer } = onread
  const next = typeof buffer === 'function' ? buffer : () => buffer
  let array = next()
  return {
    get array() {
      return array
    },
    deliver(count) {
      const goesOn = contextOf(socket).run(onread.callback, socket as unknown, count, array) !== false
      const following = next()
      if (isUint8Array(following)) array = following
      return goesOn
    },
  }
}
