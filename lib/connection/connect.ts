import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { Connection, type ConnectionOwner } from './connection.js'
import { SocketError, invalidArgType, invalidArgValue } from '../errors.js'
import { home } from '../loop/shared-poller.js'
import { checkOptionValues } from '../options/index.js'
import { CONNECTION_KEYS, type ConnectionOptions, ownership, socketOptions } from './server.js'
import { NAME_HINT, Socket, type SocketConnectOptions } from '../model/socket.js'
import { milliseconds, numericHost, options as checkOptions, port as validPort, string, unixPath } from '../validate.js'

const WRITE = 2

/** RFC 8305's Connection Attempt Delay, in milliseconds. */
const STAGGER = 250

/** Where and how {@link connect} connects. */
export interface ConnectOptions<D> extends ConnectionOptions<D> {
  /** A name or a numeric address. */
  readonly hostname?: string | undefined
  /** 0 to 65535. */
  readonly port?: number | undefined
  /** The path of a Unix socket instead; abstract when it begins with `\0`. */
  readonly unix?: string | undefined
  /** Milliseconds for everything together: the look-up and all attempts. **Default:** no limit but the kernel's. */
  readonly connectTimeout?: number | undefined
  /** Gives up at any time. */
  readonly signal?: AbortSignal | undefined
  /** The numeric address to connect from; of a name, only addresses of its family are tried. Not with `unix`. */
  readonly localAddress?: string | undefined
  /** The port to connect from. Not with `unix`. */
  readonly localPort?: number | undefined
}

/** Why one address could not be connected to. */
export interface ConnectAttemptError extends Error {
  /** `'ECONNREFUSED'` and the like. */
  readonly code?: string
  /** The numeric address or the path that was tried. */
  readonly address?: string
  /** The port that was tried. */
  readonly port?: number
  /** Milliseconds from the attempt's start to its failure. */
  readonly elapsed: number
}

const KEYS = [...CONNECTION_KEYS, 'hostname', 'port', 'unix', 'connectTimeout', 'signal', 'localAddress', 'localPort']

/**
 * Connects to a name, an address or a path, and gives the connection to handlers.
 *
 * A name is resolved by node:dns off the thread; its addresses are raced after RFC 8305: families take turns, an attempt
 * begins 250 ms after the one before it or as soon as that has failed, the first to connect wins, and the others are
 * closed. The `open` handler runs before the promise is fulfilled.
 *
 * @throws (rejects) TypeError, RangeError for bad options; AggregateError with one error per attempt, each with its
 * address, code and time taken; node:dns's error for a name without an address; SocketError ETIMEDOUT after
 * `connectTimeout`, as the AggregateError's first; the signal's reason. The `connectError` handler is called first, but not
 * for bad options.
 */
export async function connect<D = undefined>(options: ConnectOptions<D>): Promise<Connection<D>> {
  checkOptions(options, KEYS)
  const { signal } = options
  const { highWaterMark, ...owned } = ownership<D>(options)
  const owner: ConnectionOwner<D> = { ...owned, closed: () => {} }
  const limit =
    options.connectTimeout === undefined ? undefined : milliseconds(options.connectTimeout, 'options.connectTimeout')
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalidArgType('options.signal', 'an AbortSignal', signal)
  checkOptionValues(options)
  const candidates = plan(options)
  const connection = Connection.of<D>(owner, options.data as D)
  home().hold()
  try {
    signal?.throwIfAborted()
    const socket = await race(candidates, limit, signal)
    socket.sendQueueLimit = highWaterMark
    connection.attach(socket)
    return connection
  } catch (error) {
    connection.fail(error as Error)
    throw error
  } finally {
    home().release()
  }
}

type Candidates = SocketConnectOptions[] | (() => Promise<SocketConnectOptions[]>)

/** What to try, in which order; of a name only after it has been looked up. */
function plan<D>(options: ConnectOptions<D>): Candidates {
  const { hostname, port, unix, localAddress, localPort } = options
  if (unix !== undefined) {
    const inet = [hostname, port, localAddress, localPort]
    if (inet.some((value) => value !== undefined))
      throw invalidArgType('options', 'either unix, or hostname and port', options)
    return [{ ...socketOptions(options), path: unixPath(unix, 'options.unix') }]
  }
  const host = string(hostname, 'options.hostname')
  const to = {
    noDelay: true,
    ...socketOptions(options),
    port: validPort(port, 'options.port'),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort: validPort(localPort, 'options.localPort') }),
  }
  const family = localAddress === undefined ? 0 : numericHost(localAddress, 'options.localAddress', NAME_HINT)
  const suits = (address: string) => family === 0 || isIP(address) === family
  const all = (hosts: string[]) => interleave(hosts.filter(suits)).map((it) => ({ ...to, host: it }))
  if (isIP(host) !== 0) {
    if (!suits(host)) throw invalidArgValue('options.localAddress', localAddress, `must be of the family of ${host}`)
    return [{ ...to, host }]
  }
  if (host === 'localhost') return all(['::1', '127.0.0.1'])
  return async () => all((await lookup(host, { all: true, verbatim: true })).map(({ address }) => address))
}

/** RFC 8305, 4: the families take turns, the resolver's first family first. */
function interleave(hosts: string[]): string[] {
  const first = isIP(hosts[0] ?? '')
  const [a, b] = [hosts.filter((it) => isIP(it) === first), hosts.filter((it) => isIP(it) !== first)]
  return Array.from({ length: Math.max(a.length, b.length) }, (_, at) => [a[at], b[at]])
    .flat()
    .filter((it) => it !== undefined)
}

function race(candidates: Candidates, limit: number | undefined, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    new Race(resolve, reject, limit, signal).run(candidates)
  })
}

/** One race of attempts, from the first to its only outcome. */
class Race {
  readonly #resolve: (socket: Socket) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #running = new Map<Socket, { readonly host: SocketConnectOptions; readonly since: number }>()
  readonly #errors: Error[] = []
  readonly #onAbort = () => this.#settle(() => this.#reject(this.#signal!.reason))
  readonly #deadline: NodeJS.Timeout | undefined
  #waiting: SocketConnectOptions[] = []
  #stagger: NodeJS.Timeout | undefined
  #settled = false

  constructor(
    resolve: (socket: Socket) => void,
    reject: (error: unknown) => void,
    limit: number | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (limit !== undefined) this.#deadline = setTimeout(() => this.#expire(limit), limit)
  }

  run(candidates: Candidates): void {
    if (typeof candidates !== 'function') return this.#start(candidates)
    candidates().then(
      (hosts) => this.#start(hosts),
      (error: unknown) => this.#settle(() => this.#reject(error)),
    )
  }

  #start(candidates: SocketConnectOptions[]): void {
    if (this.#settled) return
    this.#waiting = candidates
    if (candidates.length === 0) this.#fail()
    else this.#next()
  }

  /** Begins the next attempt, and sees to the one after it. */
  #next(): void {
    clearTimeout(this.#stagger)
    const host = this.#waiting.shift()
    if (!host) return
    const since = performance.now()
    let socket: Socket | undefined
    try {
      socket = Socket.connect(host)
      this.#running.set(socket, { host, since })
      home().watch(socket, WRITE, { onEvent: () => this.#onOutcome(socket!) })
    } catch (error) {
      socket?.close()
      if (!(error instanceof SocketError)) return this.#settle(() => this.#reject(error))
      return this.#lose(error, host, since)
    }
    if (this.#waiting.length > 0) this.#stagger = setTimeout(() => this.#next(), STAGGER)
  }

  #onOutcome(socket: Socket): void {
    if (this.#settled || !this.#running.has(socket)) return
    const { host, since } = this.#running.get(socket)!
    try {
      // The first use of a socket that failed to connect throws the reason.
      socket.peek(PROBE)
    } catch (error) {
      this.#running.delete(socket)
      return this.#lose(error as Error, host, since)
    }
    if (socket.state !== 'open') return
    this.#running.delete(socket)
    home().unwatch(socket)
    this.#settle(() => this.#resolve(socket))
  }

  #lose(error: Error, host: SocketConnectOptions, since: number): void {
    this.#errors.push(describe(error, host, since))
    if (this.#waiting.length > 0) this.#next()
    else if (this.#running.size === 0) this.#fail()
  }

  #expire(limit: number): void {
    // Held, Node's loop looks at its timers before it looks at what has come about.
    for (const socket of this.#running.keys()) this.#onOutcome(socket)
    if (this.#settled) return
    const error = new SocketError(`connect ETIMEDOUT: not connected within ${limit} ms`, 'ETIMEDOUT', {
      syscall: 'connect',
    })
    const attempts = [...this.#running.values()].map(({ host, since }) => describe(timedOut(host), host, since))
    this.#errors.push(...attempts)
    this.#settle(() =>
      this.#reject(new AggregateError([...(attempts.length === 0 ? [error] : []), ...this.#errors], error.message)),
    )
  }

  #fail(): void {
    const errors = this.#errors
    const message = errors.map((error) => error.message).join('; ') || 'connect: no address to connect to'
    this.#settle(() => this.#reject(new AggregateError(errors, message)))
  }

  /** The first outcome is the only one; what still runs is closed. */
  #settle(outcome: () => void): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#stagger)
    clearTimeout(this.#deadline)
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const socket of this.#running.keys()) socket.close()
    outcome()
  }
}

const PROBE = new Uint8Array(1)

function timedOut({ host, port, path }: SocketConnectOptions): SocketError {
  const where = path ?? (isIP(host!) === 6 ? `[${host}]:${port}` : `${host}:${port}`)
  return new SocketError(`connect ETIMEDOUT ${where}`, 'ETIMEDOUT', { syscall: 'connect' })
}

function describe(error: Error, { host, port, path }: SocketConnectOptions, since: number): ConnectAttemptError {
  return Object.assign(error, {
    address: path ?? host,
    ...(path === undefined ? { port } : {}),
    elapsed: performance.now() - since,
  }) as ConnectAttemptError
}
