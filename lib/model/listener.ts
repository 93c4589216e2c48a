import { lookup } from 'node:dns/promises'
import { constants } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'

import * as native from '../../index.js'
import { type Address, type Place, bind, familyOf, inetPlace, toAddress, unixPlace } from './address.js'
import { SocketClosedError, SocketError, invalidArgType, systemError } from '../errors.js'
import { home } from '../loop/shared-poller.js'
import { Guard } from './leak.js'
import {
  type OptionName,
  type OptionValue,
  SETTABLE_OPTION_NAMES,
  type SettableOptionName,
  type SettableOptions,
  type SocketOptions,
  applyOptions,
  checkOptionValues,
  getOption,
  setOption,
} from '../options/index.js'
import { Socket } from './socket.js'
import { Source } from './source.js'
import { integer, options as checkOptions, string } from '../validate.js'

/** Where {@link Listener.bind} listens. */
export interface ListenerOptions extends SocketOptions {
  /** A numeric address. **Default:** `'::'` for IPv4 and IPv6 together, `'0.0.0.0'` where there is no IPv6. */
  readonly host?: string | undefined
  /** 0 to 65535; 0 lets the kernel pick one. **Default:** 0. */
  readonly port?: number | undefined
  /** The path of a Unix socket instead; abstract when it begins with `\0`. */
  readonly path?: string | undefined
  /** A bound or listening descriptor to take over instead, as systemd passes them. */
  readonly fd?: number | undefined
  /** How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`. **Default:** 511. */
  readonly backlog?: number | undefined
}

const EAGAIN = constants.errno.EAGAIN
const KEYS = ['host', 'port', 'path', 'fd', 'backlog', ...SETTABLE_OPTION_NAMES]
/** Node's own. */
const BACKLOG = 511
/** How many connections an iteration accepts before others get their turn. */
const ACCEPTS_PER_TURN = 64
/** Node's hint for the name-taking sibling. */
const NAME_HINT = 'use Listener.bindHost for names'

const guard = new Guard<number>('Listener', native.close)

const NONE = 0
const READ = 1

/** A listening TCP or Unix socket: socket(2), bind(2), listen(2), accept4(2). */
export class Listener extends Source implements AsyncIterable<Socket>, Disposable {
  #referenced = true
  /** Ends the pending step of an iteration. */
  #arrived: (() => void) | undefined
  #holding = false

  private constructor(handle: number) {
    super(handle)
    this.guarded()
  }

  /** @internal */
  static of(handle: number): Listener {
    return new Listener(handle)
  }

  /** @internal */
  protected override get guard(): Guard<number> {
    return guard
  }

  /**
   * Listens at once on a numeric address, a path, or a descriptor that somebody hands over. SO_REUSEADDR is on
   * unless told otherwise, so that a restarted server gets its port back.
   *
   * @throws TypeError, RangeError for bad options; a name as host says to use {@link bindHost}.
   * @throws SocketError EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE and what else socket(2), setsockopt(2), bind(2) and
   * listen(2) say; with `fd`, EBADF, ENOTSOCK, EPROTOTYPE, EINVAL, EEXIST, and the descriptor stays as it was.
   */
  static override bind(options: ListenerOptions = {}): Listener {
    checkOptions(options, KEYS)
    const backlog = options.backlog === undefined ? BACKLOG : integer(options.backlog, 0, 2 ** 31 - 1, 'backlog')
    if (options.fd !== undefined) return adopt(options, backlog)
    if (options.path !== undefined) return bindPlace(pathPlace(options), options, backlog)
    if (options.host !== undefined)
      return bindPlace(inetPlace(options.host, portOf(options), NAME_HINT), options, backlog)
    return bindAnywhere(options, backlog)
  }

  /**
   * As {@link bind}, and `host` may be a name, resolved by node:dns off the thread: each of its addresses is tried in
   * turn, and the first that can be bound is listened on.
   *
   * @throws (rejects) AggregateError with one error per address when none can be bound; node:dns's error when the
   * name has no address.
   */
  static async bindHost(options: ListenerOptions & { readonly host: string }): Promise<Listener> {
    checkOptions(options, KEYS)
    const host = string(options.host, 'host')
    const addresses = await lookup(host, { all: true })
    const errors: Error[] = []
    for (const { address } of addresses) {
      try {
        return Listener.bind({ ...options, host: address })
      } catch (error) {
        if (!(error instanceof SocketError)) throw error
        errors.push(error)
      }
    }
    throw new AggregateError(errors, `bind ${host}: none of its ${errors.length} addresses can be listened on`)
  }

  /**
   * The next connection, or null when nobody waits: accept4(2). Connections that died in the backlog are skipped.
   *
   * @throws SocketError EMFILE, ENFILE, ENOBUFS, ENOMEM: the process or the system is exhausted. The connection stays
   * in the backlog, and a multiplexer tells of the listener again after 100 ms.
   * @throws SocketClosedError once closed.
   */
  accept(): Socket | null {
    return this.take()?.guarded() ?? null
  }

  /** @internal As {@link accept}, for who refers to the socket from now on. */
  take(): Socket | null {
    const handle = native.accept(this.handle)
    if (handle >= 0) return Socket.of(handle)
    if (handle === -EAGAIN) return null
    if (this.handle < 0) throw new SocketClosedError('accept: the listener is closed')
    throw systemError(-handle, 'accept4')
  }

  /** Where it listens: getsockname(2); undefined once closed. */
  get address(): Address | undefined {
    return toAddress(native.localAddress(this.handle))
  }

  /** Reads an option of the kernel: getsockopt(2). */
  getOption<K extends OptionName>(name: K): OptionValue<K> {
    return getOption(this.#openHandle('getOption'), familyOf(this.address), name)
  }

  /** Sets an option of the kernel, which TCP connections that come later inherit: setsockopt(2). */
  setOption<K extends SettableOptionName>(name: K, value: SettableOptions[K]): void {
    setOption(this.#openHandle('setOption'), familyOf(this.address), name, value)
  }

  #openHandle(verb: string): number {
    if (this.handle < 0) throw new SocketClosedError(`${verb}: the listener is closed`)
    return this.handle
  }

  /** Closes the descriptor; connections that nobody accepted are reset by the kernel. Closing twice is harmless. */
  override close(): void {
    if (this.handle < 0) return
    const { poller } = this
    const registration = poller?.registrationOf(this)
    native.close(this.surrender())
    if (registration) poller?.forget(registration)
    this.#arrived?.()
  }

  /** @internal Gives an adopted descriptor back, open. */
  disown(): void {
    native.disown(this.surrender())
  }

  /** Lets a pending iteration keep the process alive, as it does at first. */
  ref(): this {
    this.#referenced = true
    this.#hold(this.#arrived !== undefined)
    return this
  }

  /** Lets the process end although an iteration is pending. */
  unref(): this {
    this.#referenced = false
    this.#hold(false)
    return this
  }

  /**
   * Connections as they come, until the listener is closed; a `break` leaves it open.
   * An exhausted process (EMFILE) ends no iteration: it goes on when there are descriptors again.
   *
   * @throws (rejects) SocketError EEXIST when the listener is in a multiplexer, or is being iterated already.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Socket, void, void> {
    if (this.handle < 0) return
    home().watch(this, NONE, { onEvent: () => this.#arrived?.() })
    try {
      for (let accepts = 0; this.handle >= 0; accepts++) {
        // Microtasks alone, in a flood of connections, would leave nobody else a turn.
        if (accepts % ACCEPTS_PER_TURN === ACCEPTS_PER_TURN - 1) await turn()
        const socket = this.#acceptUnlessExhausted()
        if (socket) yield socket
        else await this.#arrival()
      }
    } finally {
      home().unwatch(this)
    }
  }

  #acceptUnlessExhausted(): Socket | null {
    try {
      return this.accept()
    } catch (error) {
      if (error instanceof SocketError && EXHAUSTION.has(error.code)) return null
      throw error
    }
  }

  async #arrival(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#arrived = resolve
      home().modify(this, READ)
      this.#hold(this.#referenced)
    })
    this.#arrived = undefined
    this.#hold(false)
    // Those who come while nobody awaits them wait in the backlog, untold.
    if (this.handle >= 0) home().modify(this, NONE)
  }

  #hold(holds: boolean): void {
    if (holds === this.#holding) return
    this.#holding = holds
    if (holds) home().hold()
    else home().release()
  }
}

const EXHAUSTION = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

function adopt(options: ListenerOptions, backlog: number): Listener {
  const fd = integer(options.fd, 0, 2 ** 31 - 1, 'fd')
  if (options.host !== undefined || options.port !== undefined || options.path !== undefined) {
    throw invalidArgType('options', 'either fd, or path, or host and port', options)
  }
  // Adopting sets flags of the descriptor, which is to stay as it was.
  checkOptionValues(options)
  const listener = Listener.of(must(native.adoptListener(fd, backlog), 'listen'))
  try {
    applyOptions(listener.handle, familyOf(listener.address), options, 'open')
    return listener
  } catch (error) {
    listener.disown()
    throw error
  }
}

/** Null and the like are for the check to refuse. */
function portOf({ port = 0 }: ListenerOptions): number {
  return port
}

function pathPlace(options: ListenerOptions): Place {
  if (options.host !== undefined || options.port !== undefined) {
    throw invalidArgType('options', 'either path, or host and port', options)
  }
  return unixPlace(options.path)
}

/** `::` takes IPv4 too, unless the system has no IPv6 at all. */
function bindAnywhere(options: ListenerOptions, backlog: number): Listener {
  const port = portOf(options)
  try {
    return bindPlace(inetPlace('::', port, NAME_HINT), options, backlog)
  } catch (error) {
    if (!(error instanceof SocketError) || !WITHOUT_IPV6.has(error.code) || options.ipv6Only === true) throw error
    return bindPlace(inetPlace('0.0.0.0', port, NAME_HINT), options, backlog)
  }
}

const WITHOUT_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])

function bindPlace(place: Place, options: ListenerOptions, backlog: number): Listener {
  const listener = Listener.of(must(native.open(place.family), 'socket'))
  try {
    applyOptions(listener.handle, place.family, { ...options, ...defaults(place, options) }, 'listen')
    must(bind(listener.handle, place), 'bind', place)
    must(native.listen(listener.handle, backlog), 'listen', place)
    return listener
  } catch (error) {
    listener.close()
    throw error
  }
}

/** Whatever `net.ipv6.bindv6only` says, `::` means both unless the caller says otherwise. */
function defaults({ family }: Place, { reuseAddress = true, ipv6Only = false }: ListenerOptions): SocketOptions {
  if (family === 0) return {}
  return family === 6 ? { reuseAddress, ipv6Only } : { reuseAddress }
}

function must(result: number, syscall: string, place?: Place): number {
  if (result < 0) throw systemError(-result, syscall, place)
  return result
}
