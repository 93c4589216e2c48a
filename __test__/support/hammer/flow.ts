import { createCipheriv } from 'node:crypto'

/** The bytes before the pattern: the number of the flow. */
const HEADER = 4

/** Of odd length, so that it repeats with no period of a buffer. */
const POOL = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(4_194_301))

/** The bytes of one direction of a connection: each is determined by the number of the flow and its position. */
export class Flow {
  static readonly #all = new Map<number, Flow>()
  static #last = 0
  readonly id: number
  /** How many bytes the sender's calls have accepted. */
  accepted = 0
  /** Whether the sender may have dropped what it had accepted: it reset, or its connection broke. */
  isCut = false
  /** Whether the sender's end is closed. */
  isOver = false
  /** Describes the sender. */
  sender = (): string => 'a worker'

  /** `id` is given for a flow that another thread sends. */
  constructor(id = ++Flow.#last) {
    this.id = id
    Flow.#all.set(id, this)
  }

  static of(id: number): Flow | undefined {
    return Flow.#all.get(id)
  }

  /** All connections are closed. */
  static forgetAll(): void {
    Flow.#all.clear()
  }

  /** Its bytes are compared no more. */
  forget(): void {
    Flow.#all.delete(this.id)
  }

  /** A copy of the next `length` bytes. */
  next(length: number): Buffer {
    return this.#cut(this.accepted, length)
  }

  /** Whether a chunk is what stands at `position`. */
  matches(position: number, chunk: Uint8Array): boolean {
    return this.#cut(position, chunk.length).equals(chunk)
  }

  /** The number of the flow that begins with these bytes; undefined while there are too few of them. */
  static idOf(start: Buffer): number | undefined {
    return start.length < HEADER ? undefined : start.readUInt32BE(0)
  }

  #cut(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    let filled = 0
    if (position < HEADER) {
      const header = Buffer.allocUnsafe(HEADER)
      header.writeUInt32BE(this.id)
      filled = header.copy(bytes, 0, position)
    }
    while (filled < length) {
      const from = (position + filled + this.id * 7919) % POOL.length
      filled += POOL.copy(bytes, filled, from)
    }
    return bytes
  }
}

/** Checks what one end of a connection receives. */
export class Receipt {
  /** Known as soon as its number has come. */
  flow: Flow | undefined
  received = 0
  #start = Buffer.alloc(0)

  /** Throws for a byte that was not sent. */
  take(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    let bytes = chunk
    if (!this.flow) {
      this.#start = Buffer.concat([this.#start, chunk])
      const id = Flow.idOf(this.#start)
      if (id === undefined) return
      this.flow = Flow.of(id)
      if (!this.flow) throw new Error(`received the start of a flow that does not exist: ${id}`)
      bytes = this.#start
    }
    if (!this.flow.matches(this.received, bytes))
      throw new Error(`flow ${this.flow.id}: other bytes than were sent, from ${this.received} on`)
    this.received += bytes.length
  }

  /** Bytes received, the first ones of an unknown flow included. */
  get total(): number {
    return this.flow ? this.received : this.#start.length
  }
}
