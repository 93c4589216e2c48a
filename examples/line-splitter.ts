const NEWLINE = 0x0a
const RETURN = 0x0d
const NOTHING = Buffer.alloc(0)

/** Splits chunks into lines: TCP keeps the order of the bytes, not the boundaries of the writes. */
export class LineSplitter {
  readonly #limit: number
  /** The line that has not ended yet; as bytes, since a chunk may end within a character. */
  #pending: Buffer = NOTHING
  #tooLong = false

  /** A line may have `limit` bytes: a peer that never ends its line cannot use more memory than that. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The lines that end in this chunk, without `\n` or `\r\n`; null in place of one that is too long. */
  *push(chunk: Buffer): Generator<string | null, void, void> {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#extend(chunk.subarray(from, at))
      from = at + 1
      yield this.#take()
    }
    this.#extend(chunk.subarray(from))
  }

  /** At the end of the input: an unfinished line counts as one. */
  *end(): Generator<string | null, void, void> {
    if (this.#pending.length > 0 || this.#tooLong) yield this.#take()
  }

  #extend(piece: Buffer): void {
    // One byte more than the limit, since a `\r` may turn out to belong to the end of the line.
    this.#tooLong ||= this.#pending.length + piece.length > this.#limit + 1
    this.#pending = this.#tooLong
      ? NOTHING
      : this.#pending.length === 0
        ? Buffer.from(piece)
        : Buffer.concat([this.#pending, piece])
  }

  #take(): string | null {
    const line = this.#pending.at(-1) === RETURN ? this.#pending.subarray(0, -1) : this.#pending
    const tooLong = this.#tooLong || line.length > this.#limit
    this.#pending = NOTHING
    this.#tooLong = false
    return tooLong ? null : line.toString()
  }
}
