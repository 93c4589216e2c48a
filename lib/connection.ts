import type { Address } from './address.js'
import type { Event } from './event.js'
import { type HandlerSlot, type Handlers, checkHandlers } from './handlers.js'
import type { Host } from './host.js'
import type { Server } from './server.js'
import type { Socket } from './socket.js'
import { now, wheel } from './wheel.js'
import { integer, milliseconds, oneOf } from './validate.js'
import { type Chunker, type Writable, bytesOf } from './chunk.js'

const READ = 1
const WRITE = 2
const READ_WRITE = 3

/** How often one connection receives before the others of its batch get their turn. */
const RECEIVES_PER_TURN = 16

/** `-2` our half has ended, `0` closed, `1` open, `2` connecting: Bun's numbers. */
export type ReadyState = -2 | 0 | 1 | 2

/** @internal What all connections of a server, or the one of a client, have in common. */
export interface ConnectionOwner<D> {
  readonly host: Host
  readonly handlers: HandlerSlot<D>
  readonly chunker: Chunker
  readonly allowHalfOpen: boolean
  readonly idleTimeout: number
  readonly server?: Server<D>
  closed(connection: Connection<D>): void
}

/** A socket with handlers: made by `listen` and `connect`. */
export class Connection<D = undefined> implements Disposable {
  /** Whatever the program wants to keep with the connection. */
  data: D
  /** @internal */
  deadline = Infinity
  /** @internal */
  bucket = 0
  readonly #owner: ConnectionOwner<D>
  #socket: Socket | undefined
  #idle: number
  #wantsDrain = false
  #paused = false
  #gathering = false
  #closed = false
  #holding = false

  /** @internal */
  constructor(owner: ConnectionOwner<D>, data: D) {
    this.#owner = owner
    this.data = data
    this.#idle = owner.idleTimeout
  }

  /** @internal The connection stands. */
  attach(socket: Socket): void {
    this.#socket = socket
    this.#owner.host.watch(socket, READ, this)
    this.ref()
    this.#touch()
    this.#call(this.#handlers.open)
  }

  /** The socket beneath, with its options, `info()` and the like; undefined until connected. Its life is the connection's. */
  get socket(): Socket | undefined {
    return this.#socket
  }

  /**
   * Sends what there is room for: in the kernel, and in a queue of `highWaterMark` bytes.
   *
   * Small writes made while a batch of handlers runs leave together at its end, in one call. The caller may reuse its
   * buffer.
   *
   * @returns how many bytes were taken; if fewer than given, the rest is for `drain`. -1 when nothing can be sent any more.
   */
  write(data: Writable, offset?: number, length?: number): number {
    return this.#write(bytesOf(data, offset, length), this.#owner.host.inBatch)
  }

  /** As {@link write}, but at once, and nothing is queued: how many bytes the kernel took, -1 when closed. */
  tryWrite(data: Writable, offset?: number, length?: number): number {
    const bytes = bytesOf(data, offset, length)
    const socket = this.#socket
    if (!socket || socket.writeEnded) return -1
    const limit = socket.sendQueueLimit
    if (!socket.flush()) return 0
    socket.sendQueueLimit = 0
    try {
      return socket.write(bytes, false)
    } finally {
      if (socket.handle >= 0) socket.sendQueueLimit = limit
    }
  }

  #write(bytes: Uint8Array, gather: boolean): number {
    const socket = this.#socket
    if (!socket || this.#closed) return -1
    const taken = socket.write(bytes, gather)
    if (taken < 0) return -1
    this.#touch()
    if (gather && !this.#gathering) {
      this.#gathering = true
      this.#owner.host.atBatchEnd(this)
    }
    if (taken < bytes.byteLength) this.#awaitDrain()
    return taken
  }

  #awaitDrain(): void {
    if (this.#wantsDrain) return
    this.#wantsDrain = true
    this.#watchFor()
  }

  /** @internal */
  onBatchEnd(): void {
    this.#gathering = false
    this.flush()
  }

  /** Tries to send what is queued now; tells whether nothing is left. */
  flush(): boolean {
    return this.#socket?.flush() ?? true
  }

  /**
   * Ends our half: FIN, after all that was written and after `data`, which is taken whole, even beyond the queue's limit.
   *
   * @returns the bytes of `data`; -1 when our half has ended already.
   */
  end(data?: Writable, offset?: number, length?: number): number {
    const socket = this.#socket
    if (!socket || socket.writeEnded) return -1
    let taken = 0
    if (data !== undefined) {
      const bytes = bytesOf(data, offset, length)
      taken = this.#write(bytes, false)
      if (taken >= 0 && taken < bytes.byteLength) {
        socket.sendQueueLimit = Number.MAX_SAFE_INTEGER
        taken += Math.max(0, socket.write(bytes.subarray(taken), false))
      }
    }
    this.shutdown()
    return taken
  }

  /** Ends one half: `'write'` as {@link end}; `'read'` (Bun's `true`) drops what still comes. */
  shutdown(how: boolean | 'read' | 'write' | 'both' = 'write'): void {
    const half = typeof how === 'boolean' ? (how ? 'read' : 'write') : oneOf(how, HALVES, 'how')
    const socket = this.#socket
    if (!socket || this.#closed) return
    try {
      socket.shutdown(half)
    } catch (error) {
      return this.#break(error as Error)
    }
    this.#closeIfEnded()
  }

  /** Closes at once, by RST; what is queued is dropped. */
  terminate(): void {
    this.#socket?.reset()
    this.#finish()
  }

  /** Receives no more until {@link resume}; the peer then meets a full window. */
  pause(): this {
    this.#paused = true
    this.#watchFor()
    return this
  }

  /** Receives again, what waits in the kernel first. */
  resume(): this {
    this.#paused = false
    this.#watchFor()
    return this
  }

  /**
   * Closes the connection when nothing has come or gone for so many milliseconds, up to 100 ms late; 0 never. The
   * `timeout` handler is called first, and keeps the connection by sending something or by setting a time anew.
   */
  timeout(ms: number): this {
    this.#idle = milliseconds(ms, 'ms')
    this.deadline = Infinity
    wheel.forget(this)
    this.#touch()
    return this
  }

  /** TCP_NODELAY: small writes leave at once. **Default:** on. */
  setNoDelay(enable = true): this {
    this.#socket?.setOption('noDelay', enable)
    return this
  }

  /** SO_KEEPALIVE, and TCP_KEEPIDLE when `initialDelay` (milliseconds) is given. */
  setKeepAlive(enable = true, initialDelay?: number): this {
    this.#socket?.setOption('keepAlive', enable && initialDelay ? { idle: integer(initialDelay, 0, 32767000, 'initialDelay') } : enable)
    return this
  }

  /** Lets the open connection keep the process alive, as it does at first. */
  ref(): this {
    if (!this.#holding && !this.#closed) {
      this.#holding = true
      this.#owner.host.hold()
    }
    return this
  }

  /** Lets the process end although the connection is open. Queued output still holds it. */
  unref(): this {
    if (this.#holding) {
      this.#holding = false
      this.#owner.host.release()
    }
    return this
  }

  /** Where the connection is in its life. */
  get readyState(): ReadyState {
    if (this.#closed) return 0
    if (!this.#socket) return 2
    return this.#socket.writeEnded ? -2 : 1
  }

  /** Bytes received. */
  get bytesRead(): number {
    return this.#socket?.bytesReceived ?? 0
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.#socket?.bytesSent ?? 0
  }

  /** Our numeric address, or our path; undefined once closed. getsockname(2). */
  get localAddress(): string | undefined {
    return hostOf(this.#socket?.localAddress)
  }

  /** The family of our address; undefined on a Unix socket and once closed. */
  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyNameOf(this.#socket?.localAddress)
  }

  /** Our port; undefined on a Unix socket and once closed. */
  get localPort(): number | undefined {
    return portOf(this.#socket?.localAddress)
  }

  /** The peer's numeric address, or its path; undefined once closed. getpeername(2). */
  get remoteAddress(): string | undefined {
    return hostOf(this.#socket?.remoteAddress)
  }

  /** The family of the peer's address; undefined on a Unix socket and once closed. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyNameOf(this.#socket?.remoteAddress)
  }

  /** The peer's port; undefined on a Unix socket and once closed. */
  get remotePort(): number | undefined {
    return portOf(this.#socket?.remoteAddress)
  }

  /** The server that accepted it; undefined on a client's. */
  get listener(): Server<D> | undefined {
    return this.#owner.server
  }

  /** Puts other handlers in the place of those in force, for all connections of the same server. */
  reload({ socket }: { socket: Handlers<D> }): void {
    this.#owner.handlers.current = checkHandlers<D>(socket, 'socket')
  }

  /** The same as {@link terminate}, for `using`. */
  [Symbol.dispose](): void {
    this.terminate()
  }

  /** @internal */
  onEvent(event: Event): void {
    if (event.readable && !this.#paused) this.#receive()
    if (event.writable && this.#wantsDrain && !this.#closed) {
      this.#wantsDrain = false
      this.#watchFor()
      this.#call(this.#handlers.drain)
    }
  }

  /** @internal The queue of a closed connection has gone out. */
  onLeft(): void {
    this.#finish()
  }

  /** @internal Closes, unless the handler sets another time, or sends something. */
  onTimeout(): void {
    const { deadline } = this
    this.#call(this.#handlers.timeout)
    if (this.#closed) return
    if (this.deadline !== deadline) return wheel.watch(this)
    this.#socket?.close()
    this.#finish()
  }

  /** @internal No connection came about. */
  fail(error: Error): void {
    this.#closed = true
    const { connectError } = this.#handlers
    if (connectError) this.#call(connectError, error)
  }

  get #handlers(): Handlers<D> {
    return this.#owner.handlers.current
  }

  #receive(): void {
    const socket = this.#socket!
    for (let turn = 0; turn < RECEIVES_PER_TURN; turn++) {
      let chunk: Buffer | null
      try {
        chunk = this.#owner.chunker.receive(socket)
      } catch (error) {
        return this.#break(error as Error)
      }
      if (chunk === null) return
      if (chunk.length === 0) return this.#meetEnd()
      this.#touch()
      this.#call(this.#handlers.data, chunk)
      if (this.#closed || this.#paused || !this.#owner.chunker.wasFilled) return
    }
  }

  #meetEnd(): void {
    this.#call(this.#handlers.end)
    if (this.#closed) return
    if (!this.#owner.allowHalfOpen) this.end()
    this.#closeIfEnded()
  }

  /** Both halves have ended: what is queued goes out, and that is all. */
  #closeIfEnded(): void {
    const socket = this.#socket!
    if (this.#closed || !socket.readEnded || !socket.writeEnded) return
    socket.close()
    if (socket.state === 'closed') this.#finish()
  }

  #break(error: Error): void {
    if (this.#closed) return
    const { error: handler } = this.#handlers
    if (handler) this.#call(handler, error)
    this.#socket?.close()
    this.#finish(error)
  }

  #finish(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    wheel.forget(this)
    this.unref()
    this.#owner.closed(this)
    // Never inside another handler of this connection: close comes last.
    this.#owner.host.defer(() => this.#call(this.#handlers.close, error))
  }

  #watchFor(): void {
    if (!this.#socket || this.#closed) return
    const read = !this.#paused
    this.#owner.host.modify(this.#socket, read ? (this.#wantsDrain ? READ_WRITE : READ) : WRITE)
  }

  #touch(): void {
    if (this.#idle === 0) return
    this.deadline = now() + this.#idle
    if (this.bucket === 0) wheel.watch(this)
  }

  #call<A extends unknown[]>(handler: ((connection: Connection<D>, ...rest: A) => void | Promise<void>) | undefined, ...rest: A): void {
    if (!handler) return
    try {
      const answer = handler.call(this.#handlers, this, ...rest)
      if (answer !== undefined) answer.catch((error: unknown) => this.#handlerFailed(error, handler))
    } catch (error) {
      this.#handlerFailed(error, handler)
    }
  }

  #handlerFailed(error: unknown, handler: unknown): void {
    const { error: report } = this.#handlers
    if (report && handler !== report) this.#call(report, error as Error)
    else queueMicrotask(() => { throw error })
  }
}

const HALVES = ['read', 'write', 'both'] as const

function hostOf(address: Address | undefined): string | undefined {
  return address && ('path' in address ? address.path : address.address)
}

function portOf(address: Address | undefined): number | undefined {
  return address && 'port' in address ? address.port : undefined
}

function familyNameOf(address: Address | undefined): 'IPv4' | 'IPv6' | undefined {
  return address && 'family' in address ? address.family : undefined
}
