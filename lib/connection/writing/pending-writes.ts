/** A `writeAll`, or a `drained`, that waits for its turn. */
export interface PendingWrite {
  /** Goes on. Returns whether it is done. */
  attempt(): boolean
  resolve(): void
  reject(error: Error): void
  /** Whether it waits for what was written before it, and has nothing to write itself. */
  readonly isEmpty: boolean
}

/** What waits for the send queue of a connection to be empty: promises in their order, and then the `drain` handler. */
export class PendingWrites {
  /** Whether a write took less than it was given, and `drain` has not been called since. */
  awaitsDrain = false
  #pending: PendingWrite[] = []

  /** Whether anything waits. */
  get isWaiting(): boolean {
    return this.awaitsDrain || this.#pending.length > 0
  }

  get hasPending(): boolean {
    return this.#pending.length > 0
  }

  /** Whether there are bytes that have not been accepted, and go before those of another write. */
  get hasBytes(): boolean {
    return this.#pending.some((it) => !it.isEmpty)
  }

  add(write: PendingWrite): void {
    this.#pending.push(write)
  }

  /** There is room again. Returns whether nothing is left that waits for more. */
  goOn(): boolean {
    for (let first = this.#pending[0]; first?.attempt(); first = this.#pending[0]) {
      // A failure while it was attempted has rejected all.
      if (this.#pending[0] === first) this.#pending.shift()
      first.resolve()
    }
    return this.#pending.length === 0
  }

  /** Rejects what has bytes that will not be accepted any more; with `all`, also what waits for the queue. */
  reject(error: Error, all: boolean): void {
    const pending = this.#pending
    this.#pending = all ? [] : pending.filter((it) => it.isEmpty)
    for (const write of pending) if (all || !write.isEmpty) write.reject(error)
  }

  /** The queue has been sent, and the connection is closed. */
  resolve(): void {
    for (const write of this.#pending.splice(0)) write.resolve()
  }
}
