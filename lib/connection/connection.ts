import { CHUNKS_PER_TURN, type Chunker, LARGE, shareOf } from '../loop/receive-buffer.js'
import { SocketClosedError, illegalConstructor, invalidArgType, invalidState, outOfRange } from '../errors.js'
import type { Event } from '../model/event.js'
import { type Answer, type HandlerSlot, type Handlers, callHandler, checkHandlers, reportError } from './handlers.js'
import type { Host } from '../loop/host.js'
import { IdleTimer } from './idle-timer.js'
import { Output } from './output.js'
import type { InterestBits } from '../loop/poller.js'
import { Reader } from './reader.js'
import type { Server } from './server.js'
import type { Socket } from '../model/socket.js'
import { integer, milliseconds, oneOf } from '../validate.js'

const READ = 1
const WRITE = 2
const READ_WRITE = 3
/** Added to them: the wait that tells of input has received it. */
const AHEAD = 4

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

/** @internal What makes something else of a connection: a Duplex, web streams. */
export interface Adapter {
  /** There is room, after a write that took less than it was given. */
  onDrain?(): void
  /** The connection is gone. */
  onClose?(error?: Error): void
  /** Our half is to end, behind what the adapter has still to send. */
  end?(): void
}

/** A socket with handlers: made by `listen` and `connect`. */
export class Connection<D = undefined> extends Output implements AsyncIterable<Buffer>, Disposable {
  /** Whatever the program wants to keep with the connection. */
  data: D
  readonly #owner: ConnectionOwner<D>
  #socket: Socket | undefined
  #idle: IdleTimer | undefined
  #wantsDrain = false
  #paused = false
  /** Input waits in the kernel that nobody wants yet. */
  #inputWaits = false
  #metEnd = false
  #closed = false
  #holding = false
  #reader: Reader | undefined
  #adapter: Adapter | undefined

  private constructor(owner: ConnectionOwner<D>, data: D) {
    super()
    if (!owner) throw illegalConstructor('Connection', 'listen or connect')
    this.#owner = owner
    this.data = data
  }

  /** @internal */
  static of<D>(owner: ConnectionOwner<D>, data: D): Connection<D> {
    return new Connection(owner, data)
  }

  /** @internal The connection stands. */
  attach(socket: Socket): void {
    this.#socket = socket
    this.#owner.host.watch(socket, this.#reading(), this)
    this.ref()
    this.timeout(this.#owner.idleTimeout)
    this.#call(this.#handlers().open, undefined)
  }

  /** @internal As {@link attach}; what cannot be watched (ENOSPC, ENOMEM) is reset, and `error` told. */
  attachOrRefuse(socket: Socket): boolean {
    try {
      this.attach(socket)
      return true
    } catch (error) {
      socket.reset()
      this.#closed = true
      this.#owner.closed(this)
      reportError(this.#handlers(), this, error)
      return false
    }
  }

  override get socket(): Socket | undefined {
    return this.#socket
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
    // An event of the running batch may still speak of input.
    this.#metEnd ||= half !== 'write'
    this.#watchFor()
    this.#closeIfEnded()
  }

  /** Closes at once, by RST; what is queued is dropped. */
  terminate(): void {
    this.#socket?.reset()
    this.#finish()
  }

  /**
   * The next bytes: how many came into `into`, null at the peer's end.
   *
   * From the first `read` (or `for await`, or adapter) on, `data` and `end` are not called any more. Where there is no
   * `data` handler, what comes before waits in the kernel.
   *
   * @throws (rejects) TypeError for what is no Uint8Array, RangeError for an empty one; Error ERR_INVALID_STATE while
   * another read waits; SocketClosedError once closed; SocketError why the connection broke.
   */
  async read(into: Uint8Array): Promise<number | null> {
    if (!(into instanceof Uint8Array)) throw invalidArgType('into', 'a Uint8Array', into)
    if (into.byteLength === 0) throw outOfRange('into.byteLength', '>= 1 (it is empty or detached)', 0)
    return (await this.#read((socket) => socket.receive(into), 0)) || null
  }

  /** Chunks as they come, to the peer's end. Leaving the loop leaves the connection open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    const { chunker } = this.#owner
    for (;;) {
      const chunk = await this.#read((socket) => chunker.receive(socket), NOTHING)
      if (chunk.length === 0) return
      yield chunk
    }
  }

  #read<T>(receive: (socket: Socket) => T | null, end: T): Promise<T> {
    if (this.#closed && this.#metEnd) return Promise.resolve(end)
    if (!this.#socket || this.#closed) return Promise.reject(new SocketClosedError('read: the connection is closed'))
    const answer = (this.#reader ??= new Reader()).read(receive)
    if (this.#wantsInput()) this.#receive(this.#socket)
    return answer
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
   * Closes the connection when nothing has come or gone for so many milliseconds, up to 100 ms late; 0 never. Output that
   * is queued then is dropped, and the peer reset: it has read nothing for as long. The `timeout` handler is called first,
   * and keeps the connection by sending something or by setting a time anew.
   */
  timeout(ms: number): this {
    const span = milliseconds(ms, 'ms')
    this.#idle?.stop()
    this.#idle = span === 0 || this.#closed ? undefined : new IdleTimer(span, (timer) => this.#onIdle(timer))
    return this
  }

  /** TCP_NODELAY: small writes leave at once. **Default:** on. */
  setNoDelay(enable = true): this {
    this.#socket?.setOption('noDelay', enable)
    return this
  }

  /** SO_KEEPALIVE, and TCP_KEEPIDLE when `initialDelay` (milliseconds) is given. */
  setKeepAlive(enable = true, initialDelay?: number): this {
    this.#socket?.setOption(
      'keepAlive',
      enable && initialDelay ? { idle: integer(initialDelay, 0, 32767000, 'initialDelay') } : enable,
    )
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

  /** The server that accepted it; undefined on a client's. */
  get listener(): Server<D> | undefined {
    return this.#owner.server
  }

  /** Puts other handlers in the place of those in force, for all connections of the same server. */
  reload({ socket }: { socket: Handlers<D> }): void {
    const { handlers, server } = this.#owner
    if (server) return server.reload({ socket })
    handlers.current = checkHandlers<D>(socket, 'socket')
    this.onReload()
  }

  /** The same as {@link terminate}, for `using`. */
  [Symbol.dispose](): void {
    this.terminate()
  }

  /** @internal There are other handlers: one for `data`, perhaps. */
  onReload(): void {
    this.#watchFor()
  }

  /** @internal The program uses the connection through `adapter` from here on. */
  adapt(adapter: Adapter, verb: string): Socket {
    if (!this.#socket || this.#closed) throw new SocketClosedError(`${verb}: the connection is not open`)
    if (this.#adapter || this.#reader?.isWaiting) throw invalidState(`${verb}: the connection is being read already`)
    this.#adapter = adapter
    this.#reader ??= new Reader()
    return this.#socket
  }

  /** @internal Gives the socket to an adapter that watches it itself, and tells of its end by {@link onSurrenderedClosed}. */
  surrender(adapter: Adapter, verb: string): Socket {
    const socket = this.adapt(adapter, verb)
    this.timeout(0).unref()
    this.#owner.host.unwatch(socket)
    return socket
  }

  /** @internal */
  onSurrenderedClosed(error?: Error): void {
    this.#finish(error)
  }

  /** @internal */
  onEvent(event: Event, chunk?: Buffer): void {
    if (chunk !== undefined && this.#tellsChunks()) this.#receiveAhead(this.#socket!, chunk)
    else if (event.readable || event.error) {
      if (chunk !== undefined) this.#socket!.putBack(chunk)
      if (this.#wantsInput()) this.#receive(this.#socket!)
      else this.#look(this.#socket!)
    }
    if (event.writable && this.#wantsDrain && !this.#closed) {
      this.#wantsDrain = false
      this.#watchFor()
      this.#call(this.#handlers().drain, undefined)
      this.#adapter?.onDrain?.()
    }
  }

  /** @internal The queue of a closed connection has gone out. */
  onLeft(): void {
    this.#finish()
  }

  /** @internal No connection came about. */
  fail(error: Error): void {
    this.#closed = true
    this.#call(this.#handlers().connectError, error)
  }

  #handlers(): Handlers<D> {
    return this.#owner.handlers.current
  }

  /** Closes, unless the handler sets another time, or sends something. */
  #onIdle(timer: IdleTimer): void {
    const socket = this.#socket!
    if (timer.isProgress(socket.bytesSent, socket.queued) || this.#hasUntold(socket)) return timer.touch()
    if (this.#closed) return
    const { deadline } = timer
    this.#call(this.#handlers().timeout, undefined)
    if (this.#closed || this.#idle !== timer || timer.deadline !== deadline) return
    // A queue that stood still for so long is not going to leave, and would keep the descriptor.
    if (socket.queued > 0) socket.reset()
    else socket.close()
    this.#finish()
  }

  /** Whether input has come that is to be told yet: after it was held, Node's loop looks at its timers first. */
  #hasUntold(socket: Socket): boolean {
    if (!this.#wantsInput() || socket.readEnded) return false
    try {
      return socket.peek(PROBE) !== null
    } catch (error) {
      this.#break(error as Error)
      return false
    }
  }

  /** Whether what comes is to be received now. */
  #wantsInput(): boolean {
    if (this.#paused) return false
    if (this.#reader) return this.#reader.isWaiting
    return this.#handlers().data !== undefined || this.#dropsInput()
  }

  /** A server that has ended its half without having read anything is not going to. */
  #dropsInput(): boolean {
    return this.#owner.server !== undefined && this.#socket!.writeEnded
  }

  protected override inBatch(): boolean {
    return this.#owner.host.inBatch
  }

  protected override onWrite(socket: Socket, gathered: boolean): void {
    if (!this.#idle) return
    this.#idle.touch()
    if (!gathered && socket.queued > 0) this.#idle.watchQueue(socket.bytesSent)
  }

  protected override awaitDrain(): void {
    if (this.#wantsDrain) return
    this.#wantsDrain = true
    this.#watchFor()
  }

  protected override endOutput(): void {
    if (this.#adapter?.end) this.#adapter.end()
    else this.shutdown()
  }

  #receive(socket: Socket): void {
    try {
      if (this.#reader) this.#readOn(this.#reader, socket)
      else this.#receiveChunks(socket)
    } catch (error) {
      this.#break(error as Error)
    }
  }

  #readOn(reader: Reader, socket: Socket): void {
    reader.receive(socket)
    this.#idle?.touch()
    this.#watchFor()
    // Whoever awaits the end may still answer it before our half ends too.
    if (!socket.readEnded) return
    this.#metEnd = true
    setImmediate(() => this.#answerEnd())
  }

  #receiveChunks(socket: Socket): void {
    const { chunker } = this.#owner
    for (let left = CHUNKS_PER_TURN; left > 0;) {
      const chunk = chunker.receive(socket)
      if (chunk === null) return
      if (chunk.length === 0) return this.#meetEnd()
      left -= shareOf(chunk)
      this.#idle?.touch()
      this.#call(this.#handlers().data, chunk)
      if (this.#closed || !this.#wantsInput() || !chunker.wasFilled) return
    }
  }

  /** Whether input is the `data` handler's, now. */
  #tellsChunks(): boolean {
    return !this.#paused && this.#reader === undefined && this.#handlers().data !== undefined
  }

  /** What the wait has received. More than its window holds waits in the kernel. */
  #receiveAhead(socket: Socket, chunk: Buffer): void {
    this.#idle?.touch()
    this.#call(this.#handlers().data, chunk)
    if (chunk.length === LARGE && !this.#closed && this.#wantsInput()) this.#receive(socket)
  }

  /** Input that nobody wants yet stays where it is; an end or a reset with nothing before it is told. */
  #look(socket: Socket): void {
    try {
      const waiting = socket.peek(PROBE)
      if (waiting === 0 && !this.#paused && (!this.#reader || socket.writeEnded)) return this.#receiveEnd(socket)
      if (waiting === null) return
      this.#inputWaits = true
      this.#watchFor()
    } catch (error) {
      this.#break(error as Error)
    }
  }

  /** Nothing waits before the peer's end. Where our half has ended too, it is all over even if nobody reads. */
  #receiveEnd(socket: Socket): void {
    if (!this.#reader) return this.#receiveChunks(socket)
    socket.receive(PROBE)
    this.#metEnd = true
    this.#closeIfEnded()
  }

  #meetEnd(): void {
    if (this.#metEnd) return
    this.#metEnd = true
    this.#call(this.#handlers().end, undefined)
    this.#answerEnd()
  }

  /** The peer has ended its half: so do we, unless we may go on. */
  #answerEnd(): void {
    if (this.#closed) return
    if (this.#owner.allowHalfOpen) return this.#closeIfEnded()
    if (!this.#adapter?.end) return this.#close()
    this.#adapter.end()
    this.#closeIfEnded()
  }

  #closeIfEnded(): void {
    if (!this.#closed && this.#socket!.readEnded && this.#socket!.writeEnded) this.#close()
  }

  /** Both halves have ended, or end by this: what is queued goes out, and that is all. */
  #close(): void {
    this.#socket!.close()
    if (this.#socket!.state === 'closed') this.#finish()
  }

  #break(error: Error): void {
    if (this.#closed) return
    this.#reader?.fail(error)
    this.#call(this.#handlers().error, error)
    this.#socket?.close()
    this.#finish(error)
  }

  #finish(error?: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#idle?.stop()
    this.unref()
    this.#reader?.fail(error)
    this.#owner.closed(this)
    // Never inside another handler of this connection: close comes last.
    this.#owner.host.defer(() => {
      this.#call(this.#handlers().close, error)
      this.#adapter?.onClose?.(error)
    })
  }

  #watchFor(): void {
    if (!this.#socket || this.#closed) return
    if (this.#wantsInput()) this.#inputWaits = false
    const read = this.#wantsInput() || !(this.#paused || this.#inputWaits)
    this.#owner.host.modify(this.#socket, read ? this.#reading() : WRITE)
  }

  /** What to watch for where input is told. */
  #reading(): InterestBits {
    const ahead = this.#tellsChunks() && this.#owner.chunker.keeps ? AHEAD : 0
    return ((this.#wantsDrain ? READ_WRITE : READ) | ahead) as InterestBits
  }

  #call<A>(handler: ((connection: Connection<D>, argument: A) => Answer) | undefined, argument: A): void {
    callHandler(this.#handlers(), handler, this, argument)
  }
}

const HALVES = ['read', 'write', 'both'] as const

const PROBE = new Uint8Array(1)

const NOTHING = Buffer.alloc(0)
