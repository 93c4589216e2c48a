// The global `Buffer` is a getter of Node's.
import { Buffer } from 'node:buffer'

import { SocketClosedError, malformedHeader } from '../errors.js'
import type { ReadyEvent, Watcher } from '../model/event.js'
import type { Socket } from '../model/socket.js'
import { parseHeader, versionOf } from './header.js'
import type { HeaderPolicy } from './policy.js'
import type { ProxyHeader } from './types.js'
import { lengthOfV2 } from './v2.js'

const NOTHING = Buffer.alloc(0)

/** What is received into. What stays is copied. */
const SCRATCH = Buffer.alloc(4096)

/** What awaits the header. */
interface Awaiting {
  readonly policy: HeaderPolicy
  /** The header has come, or there is none. */
  admit(awaited: AwaitedHeader, header: ProxyHeader | undefined): void
  /** The connection cannot begin. Nothing, once it has been decided. */
  refuse(awaited: AwaitedHeader, error: Error): void
}

/** A header, or that there is none, and how many of the bytes that came are its own. */
interface Decision {
  readonly header: ProxyHeader | undefined
  readonly length: number
}

/** A socket whose PROXY header is awaited. */
export class AwaitedHeader implements Watcher {
  readonly socket: Socket
  /** On the clock of `now`, in milliseconds. */
  readonly deadline: number
  readonly #awaiting: Awaiting
  /** What has come: the beginning of a header, perhaps. */
  #bytes = NOTHING
  #hasEnded = false

  constructor(awaiting: Awaiting, socket: Socket, deadline: number) {
    this.socket = socket
    this.deadline = deadline
    this.#awaiting = awaiting
  }

  /** The time is up. */
  expire(): void {
    // After a long block Node's loop runs its timers before it polls: the header may have come.
    if (!this.#goOn()) this.#giveUp(`it has not come within ${this.#awaiting.policy.timeout} ms`)
  }

  /** @internal */
  onEvent(_event: ReadyEvent, chunk?: Buffer): void {
    if (!this.#goOn(chunk) && this.#hasEnded) this.#giveUp('the peer has ended before it')
  }

  /** @internal */
  onBroken(error: Error): void {
    this.#awaiting.refuse(this, error)
  }

  /** @internal */
  onDetached(): void {
    this.#awaiting.refuse(this, new SocketClosedError())
  }

  /** @internal */
  onMultiplexerClosed(): void {
    this.#awaiting.refuse(this, new SocketClosedError('The Multiplexer of the server was closed'))
  }

  /** With what has been received, or receives. Returns whether it is decided. */
  #goOn(chunk?: Buffer): boolean {
    let decision
    try {
      decision = chunk ? this.#decide(chunk) : this.#receive()
    } catch (error) {
      this.#awaiting.refuse(this, error as Error)
      return true
    }
    if (decision) this.#begin(decision)
    return decision !== undefined
  }

  /** The end is only looked at, since the connection is to receive it. */
  #receive(): Decision | undefined {
    for (;;) {
      const count = this.socket.peek(SCRATCH)
      if (count === 0) this.#hasEnded = true
      if (!count) return undefined
      this.socket.receive(SCRATCH, 0, count)
      const decision = this.#decide(SCRATCH.subarray(0, count))
      if (decision) return decision
    }
  }

  /** @throws SocketError ERR_PROXY_HEADER */
  #decide(chunk: Buffer): Decision | undefined {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#bytes, chunk])
    const { isRequired, limit } = this.#awaiting.policy
    const version = versionOf(this.#bytes)
    if (version === 0 && !isRequired) return { header: undefined, length: 0 }
    const known = version === 2 ? lengthOfV2(this.#bytes) : undefined
    const parsed = parseHeader(this.#bytes)
    const length = known ?? parsed?.length ?? this.#bytes.length
    if (length > limit) throw malformedHeader(`it has more than ${limit} bytes`)
    return parsed ?? undefined
  }

  /** There will be no header. What is not more than the beginning of a signature is the connection's own. */
  #giveUp(reason: string): void {
    const isBegun = versionOf(this.#bytes) !== undefined
    if (this.#awaiting.policy.isRequired || isBegun) this.#awaiting.refuse(this, malformedHeader(reason))
    else this.#begin({ header: undefined, length: 0 })
  }

  /** What came behind the header is received next. */
  #begin({ header, length }: Decision): void {
    if (length < this.#bytes.length) this.socket.unread(this.#bytes.subarray(length))
    this.socket.poller?.reportReady()
    this.#awaiting.admit(this, header)
  }
}
