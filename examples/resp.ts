// RESP2, the protocol of Redis: chunks into commands.

const RETURN = 0x0d
const NEWLINE = 0x0a
const ARRAY = 0x2a
const BULK = 0x24
const ZERO = 0x30
const NOTHING = Buffer.alloc(0)

/**
 * Limits: bytes of an inline command, arguments of any other, bytes of all its arguments together, digits of a length.
 */
const MOST_INLINE = 4096
const MOST_ARGUMENTS = 65536
const MOST_BYTES = 512 * 1024 * 1024
const MOST_DIGITS = 10

/** After such an error the start of the next command cannot be found. */
export class ProtocolError extends Error {}

/**
 * Parses commands from chunks, wherever those were cut. Arguments are views of the chunks: no strings are made.
 *
 * Its fields are `private` rather than `#`, which the loader that runs these files compiles to look-ups in a WeakMap.
 */
export class CommandParser {
  private buffer: Buffer = NOTHING
  private at = 0
  /** Chunks are collected until there are `needed` bytes, and joined once: a value in many chunks is copied once. */
  private chunks: Buffer[] = []
  private collected = 0
  private needed = 0
  /** The unfinished command: its arguments, how many are missing, and the bytes of those that are complete. */
  private arguments: Buffer[] = []
  private missing = 0
  private bytes = 0
  /** The length of the unfinished argument; -1 before it is known. */
  private length = -1

  push(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.collected += chunk.length
  }

  /**
   * The next command; null if it is not complete yet.
   *
   * @throws ProtocolError
   */
  next(): Buffer[] | null {
    if (this.collected > 0 && !this.join()) return null
    for (;;) {
      const command = this.missing > 0 || this.buffer[this.at] === ARRAY ? this.array() : this.inline()
      // An empty command has no reply.
      if (command === null || command.length > 0) return command
    }
  }

  private join(): boolean {
    const left = this.buffer.length - this.at
    if (left + this.collected < this.needed) return false
    this.buffer =
      left === 0 && this.chunks.length === 1
        ? this.chunks[0]!
        : Buffer.concat([this.buffer.subarray(this.at), ...this.chunks])
    this.at = 0
    this.chunks = []
    this.collected = 0
    return true
  }

  /** The command is incomplete: it needs so many bytes from here on. */
  private wait(needed = this.buffer.length - this.at + 1): null {
    this.needed = needed
    // An idle client does not keep the memory of its last chunk.
    if (this.at === this.buffer.length) {
      this.buffer = NOTHING
      this.at = 0
    }
    return null
  }

  private inline(): Buffer[] | null {
    const newline = this.buffer.indexOf(NEWLINE, this.at)
    const end = newline < 0 ? this.buffer.length : newline
    if (end - this.at > MOST_INLINE) throw new ProtocolError('too big inline request')
    if (newline < 0) return this.wait()
    const words = this.buffer.toString('latin1', this.at, end).split(/[ \t\r]+/)
    this.at = end + 1
    return words.filter((word) => word !== '').map((word) => Buffer.from(word, 'latin1'))
  }

  private array(): Buffer[] | null {
    if (this.missing === 0) {
      const count = this.number(MOST_ARGUMENTS, 'invalid multibulk length')
      if (count < 0) return this.wait()
      this.missing = count
    }
    for (; this.missing > 0; this.missing--) {
      const argument = this.argument()
      if (!argument) return null
      this.arguments.push(argument)
    }
    const command = this.arguments
    this.arguments = []
    this.bytes = 0
    return command
  }

  private argument(): Buffer | null {
    if (this.length < 0) {
      if (this.at === this.buffer.length) return this.wait()
      if (this.buffer[this.at] !== BULK)
        throw new ProtocolError(`expected '$', got '${String.fromCharCode(this.buffer[this.at]!)}'`)
      this.length = this.number(MOST_BYTES - this.bytes, 'invalid bulk length')
      if (this.length < 0) return this.wait()
    }
    const end = this.at + this.length
    if (this.buffer.length < end + 2) return this.wait(this.length + 2)
    if (this.buffer[end] !== RETURN || this.buffer[end + 1] !== NEWLINE)
      throw new ProtocolError('invalid end of an argument')
    const argument = this.buffer.subarray(this.at, end)
    this.at = end + 2
    this.bytes += this.length
    this.length = -1
    return argument
  }

  /** The number behind `*` or `$`; -1 while its line is incomplete. */
  private number(most: number, complaint: string): number {
    const from = this.at + 1
    let value = 0
    for (let at = from; at < this.buffer.length; at++) {
      const byte = this.buffer[at]!
      if (byte === RETURN && at > from) return this.endNumber(value, at)
      if (byte < ZERO || byte > ZERO + 9 || at - from === MOST_DIGITS) throw new ProtocolError(complaint)
      value = value * 10 + byte - ZERO
      if (value > most) throw new ProtocolError(complaint)
    }
    return -1
  }

  private endNumber(value: number, at: number): number {
    if (at + 1 === this.buffer.length) return -1
    if (this.buffer[at + 1] !== NEWLINE) throw new ProtocolError('expected a newline')
    this.at = at + 2
    return value
  }
}
