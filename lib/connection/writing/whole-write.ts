import { withAccepted } from '../../errors.js'
import { totalLength } from '../data.js'
import type { PendingWrite } from './pending-writes.js'

/** What a `writeAll` needs of its connection. */
export interface Sink {
  /** Takes as many bytes as there is room for, and returns their number; -1 when nothing can be sent any more. */
  accept(pieces: readonly Uint8Array[]): number
  /** Why nothing can be sent any more. */
  refusal(verb: string): Error
}

/** A `writeAll`: bytes that are accepted as there is room for them. */
export class WholeWrite implements PendingWrite {
  readonly isEmpty = false
  readonly #sink: Sink
  readonly #resolve: () => void
  readonly #reject: (error: Error) => void
  #pieces: readonly Uint8Array[]
  #accepted = 0

  constructor(sink: Sink, pieces: readonly Uint8Array[], resolve: () => void, reject: (error: Error) => void) {
    this.#sink = sink
    this.#pieces = pieces
    this.#resolve = resolve
    this.#reject = reject
  }

  attempt(): boolean {
    const count = this.#sink.accept(this.#pieces)
    if (count < 0) {
      this.reject(this.#sink.refusal('writeAll'))
      return true
    }
    this.#accepted += count
    if (count === totalLength(this.#pieces)) return true
    this.#pieces = without(this.#pieces, count)
    return false
  }

  resolve(): void {
    this.#resolve()
  }

  reject(error: Error): void {
    this.#reject(withAccepted(error, this.#accepted))
  }
}

/** The pieces without their first `count` bytes. */
function without(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = []
  let skipped = count
  for (const piece of pieces) {
    if (piece.length > skipped) rest.push(piece.subarray(skipped))
    skipped = Math.max(0, skipped - piece.length)
  }
  return rest
}
