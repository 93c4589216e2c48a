// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'

const MESSAGE =
  'The memory of a chunk cannot be transferred, since other chunks share it. Copy the chunk: new Uint8Array(chunk)'

/**
 * Memory that chunks are cut from. To transfer the memory of one chunk would detach all others, so it is refused.
 *
 * `markAsUntransferable` stops `structuredClone` and `postMessage`, and from Node 24 on `ArrayBuffer.prototype.transfer`
 * too; the methods of this buffer stop it everywhere. What is left is a call of the prototype's method in Node 22: it is
 * noticed by the pool's length, which is then 0.
 */
export function allocatePool(size: number): Buffer {
  const pool = Buffer.allocUnsafeSlow(size)
  markAsUntransferable(pool.buffer)
  Object.defineProperties(pool.buffer, REFUSING)
  return pool
}

function refuse(): never {
  throw new DOMException(MESSAGE, 'DataCloneError')
}

/** Only what the runtime has: Node 20 has none of them. */
const REFUSING: PropertyDescriptorMap = Object.fromEntries(
  ['transfer', 'transferToFixedLength', 'transferToImmutable']
    .filter((name) => name in ArrayBuffer.prototype)
    .map((name) => [name, { value: refuse }]),
)
