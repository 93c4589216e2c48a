// RESP2, the protocol of Redis: replies into bytes.

const RETURN = 0x0d
const NEWLINE = 0x0a
/** Bytes of the buffer; it grows when needed, and is replaced afterwards. */
const SIZE = 131072

/** Writes replies one after the other into one buffer. About `private` see `CommandParser`. */
export class ReplyWriter {
  private bytes = Buffer.allocUnsafeSlow(SIZE)
  private end = 0

  get length(): number {
    return this.end
  }

  /** `+OK`, `-ERR …`, `:1` and the like: one line of ASCII. */
  line(line: string): void {
    this.reserve(line.length + 2)
    // A line is a few characters: a loop is faster than a call of Node's.
    for (let at = 0; at < line.length; at++) this.bytes[this.end++] = line.charCodeAt(at)
    this.endLine()
  }

  /** Any bytes; `null` if the value does not exist. */
  bulk(value: Buffer | null): void {
    if (!value) return this.line('$-1')
    this.line(`$${value.length}`)
    this.reserve(value.length + 2)
    this.bytes.set(value, this.end)
    this.end += value.length
    this.endLine()
  }

  array(values: readonly Buffer[]): void {
    this.line(`*${values.length}`)
    for (const value of values) this.bulk(value)
  }

  /** All replies so far; valid until the next one is written. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.end)
    this.end = 0
    if (this.bytes.length > SIZE) this.bytes = Buffer.allocUnsafeSlow(SIZE)
    return taken
  }

  private endLine(): void {
    this.bytes[this.end++] = RETURN
    this.bytes[this.end++] = NEWLINE
  }

  private reserve(more: number): void {
    if (this.end + more <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.end + more, 2 * this.bytes.length))
    this.bytes.copy(larger, 0, 0, this.end)
    this.bytes = larger
  }
}
