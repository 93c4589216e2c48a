import { SocketClosedError, malformedHeader } from '../errors.js'
import type { Registrar } from '../loop/registrar.js'
import { clearTimeout, now, setTimeout } from '../loop/timers.js'
import type { Socket } from '../model/socket.js'
import type { InterestBits } from '../native.js'
import { AwaitedHeader } from './awaited.js'
import { type HeaderPolicy, isTrusted } from './policy.js'
import type { ProxyHeader } from './types.js'

/** Whose connections wait for their headers. */
export interface GateOwner {
  /** Watches the sockets. */
  readonly poller: Registrar
  /** The connection begins. With `isWatched` its socket is watched, for what it was from the start. */
  admit(socket: Socket, header: ProxyHeader | undefined, isWatched: boolean): void
  /** A connection has been reset, with `error` as the reason: it counts no longer. */
  refuse(error: Error): void
}

/** Reads the PROXY headers of accepted sockets, before anybody else gets to know of them. */
export class HeaderGate {
  readonly policy: HeaderPolicy
  readonly #owner: GateOwner
  /** In the order of their deadlines. */
  readonly #awaited = new Set<AwaitedHeader>()
  /** Calls {@link AwaitedHeader.expire} of the first one. */
  #timer: NodeJS.Timeout | undefined

  constructor(policy: HeaderPolicy, owner: GateOwner) {
    this.policy = policy
    this.#owner = owner
  }

  /** How many sockets wait for their headers. */
  get size(): number {
    return this.#awaited.size
  }

  /**
   * Awaits the header of a socket that was accepted. With `isWatched` the wait that accepted it watches it already for
   * `interest`. What the kernel refuses to watch is refused.
   */
  await(socket: Socket, interest: InterestBits, isWatched = true): void {
    if (!isTrusted(this.policy, socket)) return this.#pass(socket, isWatched)
    const { poller } = this.#owner
    const awaited = new AwaitedHeader(this, socket, now() + this.policy.timeout)
    if (this.#awaited.size === 0) poller.ref()
    this.#awaited.add(awaited)
    this.#timer ??= setTimeout(() => this.#expire(), this.policy.timeout).unref()
    try {
      if (isWatched) poller.watchAccepted(socket, awaited)
      else poller.watch(socket, interest, awaited)
    } catch (error) {
      this.refuse(awaited, error as Error)
    }
  }

  /** Of a peer that is not trusted. */
  #pass(socket: Socket, isWatched: boolean): void {
    if (!this.policy.isRequired) return this.#owner.admit(socket, undefined, isWatched)
    socket.reset()
    this.#owner.refuse(malformedHeader('the peer is not one that headers are taken from'))
  }

  /** The header has come, or there is none. */
  admit(awaited: AwaitedHeader, header: ProxyHeader | undefined): void {
    if (this.#delete(awaited)) this.#owner.admit(awaited.socket, header, true)
  }

  /** The connection cannot begin. */
  refuse(awaited: AwaitedHeader, error: Error): void {
    if (!this.#delete(awaited)) return
    awaited.socket.resetByWatcher()
    this.#owner.refuse(error)
  }

  /** Resets all that wait. */
  clear(): void {
    for (const awaited of this.#awaited) this.refuse(awaited, new SocketClosedError('The server was stopped'))
  }

  /** Returns whether it was waiting. */
  #delete(awaited: AwaitedHeader): boolean {
    if (!this.#awaited.delete(awaited)) return false
    if (this.#awaited.size > 0) return true
    this.#owner.poller.unref()
    clearTimeout(this.#timer)
    this.#timer = undefined
    return true
  }

  #expire(): void {
    this.#timer = undefined
    const time = now()
    for (const awaited of this.#awaited) {
      if (awaited.deadline > time) break
      awaited.expire()
    }
    const [next] = this.#awaited
    if (next) this.#timer ??= setTimeout(() => this.#expire(), Math.max(1, next.deadline - now())).unref()
  }
}
