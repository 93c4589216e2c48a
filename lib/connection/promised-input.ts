// The global `Buffer` is a getter of Node's.
import { Buffer, constants } from 'node:buffer'

import { invalidArgType, invalidArgValue, invalidState, outOfRange } from '../errors.js'
import { END } from '../loop/receive-buffer.js'
import { abortSignal, checkOptions, integer, isUint8Array } from '../validate.js'
import { Input } from './input.js'
import { exactly } from './reading/exactly.js'
import { LineRead, NO_LINE } from './reading/lines.js'
import { ChunkRead, PlainRead } from './reading/read.js'
import { UntilRead } from './reading/until.js'

/** How a read of a connection is cancelled. */
export interface ReadOptions {
  /** Ends the read when it is aborted, with an AbortError. What has come can still be read. */
  readonly signal?: AbortSignal
}

/** How {@link Connection.readUntil} reads. */
export interface ReadUntilOptions extends ReadOptions {
  /** The most bytes that the result may have, the delimiter included. **Default:** 65536. */
  readonly limit?: number
}

/** How {@link Connection.lines} reads. */
export interface LinesOptions extends ReadOptions {
  /** The most bytes that a line may have, without its end. **Default:** 65536. */
  readonly limit?: number
  /** How the bytes of a line become a string; not `'utf16le'`. **Default:** `'utf8'`. */
  readonly encoding?: BufferEncoding
}

const DEFAULT_LIMIT = 65_536

/** What a program reads of a connection by promises. */
export abstract class PromisedInput<D> extends Input<D> implements AsyncIterable<Buffer> {
  /**
   * The next bytes: how many came into `into`, null at the peer's end.
   *
   * From the first `read` (or `for await`, or stream) on, `data` and `end` are not called any more. Where there is no
   * `data` handler, input from before stays in the kernel.
   *
   * @throws (rejects) TypeError for anything but a Uint8Array, RangeError for an empty one, also one that was detached
   * meanwhile: the connection goes on, and the next read gets the bytes; Error ERR_INVALID_STATE while another read is
   * pending, and where a stream reads; SocketError the reason why the connection broke; SocketClosedError once closed,
   * unless the peer's end has been received; SocketError EBUSY while it is relayed.
   */
  async read(into: Uint8Array): Promise<number | null> {
    if (!isUint8Array(into)) throw invalidArgType('into', 'a Uint8Array', into)
    if (into.byteLength === 0) throw outOfRange('into.byteLength', '>= 1 (it is empty or detached)', 0)
    return (await this.readBy(new PlainRead(into))) || null
  }

  /** @internal As {@link read}, for the stream that reads in place of the program. */
  async readForStream(into: Uint8Array): Promise<number | null> {
    return (await this.receiveBy(new PlainRead(into))) || null
  }

  /**
   * Chunks as they come, to the peer's end. Leaving the loop leaves the connection open.
   *
   * @throws (rejects) as {@link read}.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    const read = new ChunkRead(this.owner.receiveBuffer)
    for (;;) {
      const chunk = await this.readBy(read)
      if (chunk === END) return
      if (chunk.length === 0) throw invalidState('The memory of a chunk was transferred before it was read')
      yield chunk
    }
  }

  /**
   * Exactly `length` bytes, in memory of their own; it is allocated as they come. A small read may receive more, up to
   * 64 KiB, which is kept for the reads that follow.
   *
   * @throws (rejects) SocketError ERR_UNEXPECTED_END when the peer ends before: what has come can still be read. The
   * reason why the connection broke; AbortError. All of these have `received`, the number of bytes that had come.
   * RangeError, TypeError for another length; the rest as {@link read}.
   */
  readExactly(length: number, options?: ReadOptions): Promise<Buffer>
  /**
   * Fills `into`, straight from the kernel: nothing is allocated, nothing more is received.
   *
   * @throws (rejects) as above; the array then begins with the bytes that had come. RangeError when it was detached
   * meanwhile, or has another length: the bytes that it had are lost.
   */
  readExactly<T extends Uint8Array>(into: T, options?: ReadOptions): Promise<T>
  async readExactly(target: number | Uint8Array, options: ReadOptions = {}): Promise<Uint8Array> {
    const length = isUint8Array(target) ? target.byteLength : checkLength(target)
    const signal = signalOf(options, ['signal'])
    if (length === 0 && !this.isReadPending && !signal?.aborted) {
      return typeof target === 'number' ? Buffer.alloc(0) : target
    }
    return this.readBy(exactly(target), signal)
  }

  /**
   * The bytes up to and including `delimiter`, a string (as UTF-8) or bytes. At most `limit` bytes are received for it:
   * the rest stays in the kernel.
   *
   * @throws (rejects) SocketError ERR_LIMIT_EXCEEDED when there is no delimiter within `limit` bytes, ERR_UNEXPECTED_END
   * when the peer ends before: what has come can still be read. The rest as {@link readExactly}, also `received`.
   */
  async readUntil(delimiter: string | Uint8Array, options: ReadUntilOptions = {}): Promise<Buffer> {
    const bytes = delimiterBytes(delimiter)
    const signal = signalOf(options, ['limit', 'signal'])
    const limit = limitOf(options, bytes.length)
    return this.readBy(new UntilRead(bytes, limit), signal)
  }

  /**
   * Lines, without the `\\n` or `\\r\\n` that ends them, to the peer's end; what comes behind the last end counts as a line.
   * Leaving the loop leaves the connection open, and the next read begins with the next line.
   *
   * @throws TypeError, RangeError for other options. Steps reject as {@link readUntil}, without ERR_UNEXPECTED_END.
   */
  lines(options: LinesOptions = {}): AsyncIterableIterator<string> {
    const signal = signalOf(options, ['limit', 'encoding', 'signal'])
    const read = new LineRead(limitOf(options, 0), encodingOf(options))
    return this.readLines(read, signal)
  }

  /** @internal */
  private async *readLines(read: LineRead, signal: AbortSignal | undefined): AsyncGenerator<string, void, void> {
    for (;;) {
      const line = await this.readBy(read, signal)
      if (line === NO_LINE) return
      yield line
    }
  }
}

function checkLength(target: unknown): number {
  if (typeof target !== 'number') throw invalidArgType('target', 'a number or a Uint8Array', target)
  return integer(target, 0, constants.MAX_LENGTH, 'length')
}

function signalOf(options: ReadOptions, known: readonly string[]): AbortSignal | undefined {
  checkOptions(options, known)
  return options.signal === undefined ? undefined : abortSignal(options.signal, 'options.signal')
}

function limitOf({ limit = DEFAULT_LIMIT }: ReadUntilOptions, least: number): number {
  return integer(limit, least, constants.MAX_LENGTH, 'options.limit')
}

function encodingOf({ encoding = 'utf8' }: LinesOptions): BufferEncoding {
  if (typeof encoding !== 'string') throw invalidArgType('options.encoding', 'of type string', encoding)
  const isWide = /^(utf-?16le|ucs-?2)$/i.test(encoding)
  if (isWide || !Buffer.isEncoding(encoding)) {
    throw invalidArgValue(
      'options.encoding',
      encoding,
      "must be an encoding of Buffer's, in which a line ends by one byte",
    )
  }
  return encoding
}

/** The bytes of its own: the program may change its array while the read is pending. */
function delimiterBytes(delimiter: unknown): Uint8Array {
  const isText = typeof delimiter === 'string'
  if (!isText && !isUint8Array(delimiter)) throw invalidArgType('delimiter', 'a string or a Uint8Array', delimiter)
  const bytes = isText ? Buffer.from(delimiter) : Buffer.from(delimiter)
  if (bytes.length === 0) throw invalidArgValue('delimiter', delimiter, 'must not be empty')
  return bytes
}
