// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import type { Socket } from '../../model/socket.js'
import { totalLength } from '../data.js'

/** Up to this number of bytes pieces are copied into one, which costs less than another system call. */
const JOINED = 65_536

/** The pieces as one, if they are small. */
export function joined(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  return pieces.length > 1 && totalLength(pieces) <= JOINED ? [Buffer.concat(pieces)] : pieces
}

/**
 * Writes the pieces in order. The small ones are corked, until a large one takes them along, or until the end.
 *
 * @returns as `Socket.write`
 */
export function writeEach(socket: Socket, pieces: readonly Uint8Array[], cork: boolean): number {
  const isMany = pieces.length > 1
  let total = 0
  for (const piece of pieces) {
    const taken = socket.write(piece, cork || isMany)
    if (taken < 0) return taken
    total += taken
    if (taken < piece.length) break
  }
  if (isMany && !cork) socket.flush()
  return total
}
