import { constants } from 'node:os'

import { SocketError } from '../errors.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { clearTimeout, setTimeoutInContext } from '../loop/timers.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import { WRITE } from '../native.js'
import { type Dial, connectFailure, isBlocked, isUnderWay, openFailure, openSocket } from './attempt.js'
import { attemptsFailed, connectionTimeout, ipBlocked } from './errors.js'
import type { ResolvedAddress } from './lookup.js'

/**
 * Connects to the first of several addresses that answers. As in node:net an attempt whose time is up is reported, and
 * the next address is tried; but it goes on meanwhile, and may still be the one that connects: RFC 8305.
 */
export class Attempts {
  readonly #dial: Dial
  readonly #addresses: readonly ResolvedAddress[]
  readonly #sockets = new Map<ModelSocket, ResolvedAddress>()
  readonly #errors: Error[] = []
  #index = 0
  #timer: NodeJS.Timeout | undefined

  constructor(dial: Dial, addresses: readonly ResolvedAddress[]) {
    this.#dial = dial
    this.#addresses = addresses
    dial.stream.autoSelectFamilyAttemptedAddresses = []
    dial.handle.onClosing = () => this.#cancel()
  }

  /** Tries the next address; if there is none, the stream is destroyed with what went wrong. */
  next(): void {
    clearTimeout(this.#timer)
    const { stream, port } = this.#dial
    if (!isUnderWay(this.#dial)) return
    const to = this.#addresses[this.#index++]
    if (!to) return this.#fail()
    if (isBlocked(stream, to.address, to.family)) return this.#lose(to, ipBlocked(to.address))
    stream.emit('connectionAttempt', to.address, port, to.family)
    if (!isUnderWay(this.#dial)) return
    stream.autoSelectFamilyAttemptedAddresses!.push(`${to.address}:${port}`)
    if (this.#open(to) && this.#index < this.#addresses.length) {
      this.#timer = setTimeoutInContext(() => this.#expire(to), this.#dial.attemptTimeout!)
    }
  }

  /** Returns whether the attempt is under way. */
  #open(to: ResolvedAddress): boolean {
    let socket: ModelSocket | undefined
    try {
      socket = openSocket(this.#dial, to.address, to.family)
      const opened = socket
      sharedPoller().watch(opened, WRITE, {
        onEvent: () => this.#onEvent(opened),
      })
      this.#sockets.set(socket, to)
      this.#dial.stream.socket = socket
      return true
    } catch (error) {
      socket?.close()
      if (!(error instanceof SocketError)) throw error
      this.#lose(to, openFailure(this.#dial, to, error), error.syscall !== 'bind')
      return false
    }
  }

  #onEvent(socket: ModelSocket): void {
    try {
      this.#onOutcome(socket)
    } catch (error) {
      this.#dial.stream.onException(error)
    }
  }

  /** The socket of an attempt has connected, or has failed to. */
  #onOutcome(socket: ModelSocket): void {
    const to = this.#sockets.get(socket)
    if (!to) return
    const failure = socket.connectFailure()
    if (!failure) return socket.state === 'open' ? this.#win(socket) : undefined
    this.#sockets.delete(socket)
    const isCurrent = to === this.#addresses[this.#index - 1]
    // An attempt whose time was up is in the list of errors already.
    if (isCurrent) this.#lose(to, connectFailure(this.#dial, to.address, this.#dial.port, failure))
  }

  #win(socket: ModelSocket): void {
    const { stream, handle } = this.#dial
    this.#sockets.delete(socket)
    this.#stop()
    sharedPoller().unwatch(socket)
    handle.connected(socket)
    stream.socket = socket
    try {
      handle.watch()
    } catch (error) {
      return void stream.destroy(error as Error)
    }
    stream.onConnected()
  }

  #expire(to: ResolvedAddress): void {
    const { stream, port } = this.#dial
    stream.emit('connectionAttemptTimeout', to.address, port, to.family)
    const error = new SocketError('', 'ETIMEDOUT', { errno: -constants.errno.ETIMEDOUT })
    this.#errors.push(connectFailure(this.#dial, to.address, port, error))
    this.next()
  }

  #lose(to: ResolvedAddress, error: Error, isReported = true): void {
    this.#errors.push(error)
    if (isReported) {
      this.#dial.stream.emit('connectionAttemptFailed', to.address, this.#dial.port, to.family, error)
    }
    this.next()
  }

  #fail(): void {
    const [first] = this.#errors
    this.#dial.stream.destroy(first ? attemptsFailed(this.#errors) : connectionTimeout())
  }

  /** The stream has been destroyed. Returns what reports that of the last attempt, if it is under way. */
  #cancel(): (() => void) | undefined {
    const to = this.#addresses[this.#index - 1]!
    const isUnderWay = [...this.#sockets.values()].includes(to)
    this.#stop()
    if (!isUnderWay) return undefined
    const { stream, port } = this.#dial
    const error = connectFailure(this.#dial, to.address, port, new SocketError('', 'ECANCELED'))
    return () => stream.emit('connectionAttemptFailed', to.address, port, to.family, error)
  }

  /** Ends all attempts that are under way. */
  #stop(): void {
    clearTimeout(this.#timer)
    this.#dial.handle.onClosing = undefined
    for (const socket of this.#sockets.keys()) socket.close()
    this.#sockets.clear()
  }
}
