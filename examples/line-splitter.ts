const NEWLINE = 0x0a
const RETURN = 0x0d
const NOTHING = Buffer.alloc(0)

/** Makes lines of chunks: TCP keeps the order of the bytes, not the borders of the writes. */
export class LineSplitter {
  readonly #limit: number
  /** The line that has not ended yet; as bytes, since a chunk may end within a character. */
  #begun: Buffer = NOTHING
  #tooLong = false

  /** A line may have `limit` bytes: whoever never ends one gets no more memory than that. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The lines that end in this chunk, without `\n` or `\r\n`; null in the place of one that was too long. */
  *push(chunk: Buffer): Generator<string | null, void, void> {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#extend(chunk.subarray(from, at))
      from = at + 1
      yield this.#take()
    }
    this.#extend(chunk.subarray(from))
  }

  /** At the end of the input: what has begun counts as a line. */
  *end(): Generator<string | null, void, void> {
    if (this.#begun.length > 0 || this.#tooLong) yield this.#take()
  }

  #extend(piece: Buffer): void {
    // A `\r` counts only once it is known not to belong to the end of the line.
    this.#tooLong ||= this.#begun.length + piece.length > this.#limit + 1
    this.#begun = this.#tooLong
      ? NOTHING
      : this.#begun.length === 0
        ? Buffer.from(piece)
        : Buffer.concat([this.#begun, piece])
  }

  #take(): string | null {
    const line = this.#begun.at(-1) === RETURN ? this.#begun.subarray(0, -1) : this.#begun
    const tooLong = this.#tooLong || line.length > this.#limit
    this.#begun = NOTHING
    this.#tooLong = false
    return tooLong ? null : line.toString()
  }
}
