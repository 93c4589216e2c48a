import { invalidArgType, invalidArgValue } from '../errors.js'
import { ReceiveBuffer } from '../loop/receive-buffer.js'
import type { Excluding } from '../model/excluding.js'
import { Multiplexer } from '../model/multiplexer.js'
import { DEFAULT_SEND_QUEUE_LIMIT } from '../native.js'
import { SETTABLE_OPTION_NAMES, type SocketOptions } from '../options/index.js'
import { boolean, integer, isUint8Array, milliseconds } from '../validate.js'
import { type Handlers, checkHandlers } from './handlers.js'
import { ConnectionOwner } from './owner.js'

/** What each connection's `data` is at first: required unless it may be undefined. */
export type InitialData<D> = undefined extends D
  ? {
      /** What each connection's `data` is at first. **Default:** undefined. */
      readonly data?: D | undefined
    }
  : {
      /** What each connection's `data` is at first. */
      readonly data: D
    }

/** What `listen` and `connect` have in common. */
export interface ConnectionOptions<D> extends SocketOptions {
  /** The handlers of the connections. */
  readonly socket?: Handlers<D> | undefined
  /** Whether our half stays open when the peer's ends. **Default:** false: our half ends after `end`. */
  readonly allowHalfOpen?: boolean | undefined
  /**
   * Milliseconds without traffic until a connection is closed, after its `timeout` handler; 0 never. **Default:** 0.
   */
  readonly idleTimeout?: number | undefined
  /** The limit of each connection's send queue, in bytes. **Default:** 65536. */
  readonly sendQueueLimit?: number | undefined
  /** An alias of {@link sendQueueLimit}. */
  readonly highWaterMark?: number | undefined
  /** Chunks are then views of this array, valid only until the `data` handler returns. **Default:** chunks to keep. */
  readonly receiveInto?: Uint8Array | undefined
  /**
   * A multiplexer that the program waits for itself. **Default:** the shared poller of the thread, run by Node's loop.
   */
  readonly multiplexer?: Multiplexer | undefined
}

/** A name or a numeric address, by the main name or its alias. */
export type HostOption =
  | {
      /** A name or a numeric address. */
      readonly host: string | undefined
      /** An alias of `host`; both must not differ. */
      readonly hostname?: string | undefined
    }
  | ({
      /** An alias of `host`. */
      readonly hostname: string | undefined
    } & Excluding<'host'>)

/** A Unix path, by the main name or its alias. */
export type PathOption =
  | {
      /** The path of a Unix socket; abstract when it begins with `\0`. */
      readonly path: string
      /** An alias of `path`; both must not differ. */
      readonly unix?: string | undefined
    }
  | ({
      /** An alias of `path`. */
      readonly unix: string
    } & Excluding<'path'>)

/** @internal The names of the options that `listen` and `connect` have in common. */
export const CONNECTION_KEYS = [
  'host',
  'hostname',
  'port',
  'path',
  'unix',
  'socket',
  'data',
  'allowHalfOpen',
  'idleTimeout',
  'sendQueueLimit',
  'highWaterMark',
  'receiveInto',
  'multiplexer',
  'mptcp',
  ...SETTABLE_OPTION_NAMES,
]

/** @internal By names that other libraries have for an option: its name here. */
export const CONNECTION_HINTS = {
  close: "'socket: { close }'",
  connectTimeout: "'idleTimeout'",
  drain: "'socket: { drain }'",
  end: "'socket: { end }'",
  error: "'socket: { error }'",
  exclusive: "'reusePort'",
  handlers: "'socket'",
  keepAliveInitialDelay: "'keepAlive'",
  onread: "'receiveInto'",
  open: "'socket: { open }'",
  timeout: "'idleTimeout'",
}

/** How `Server.close` ends what is open. */
export interface CloseOptions {
  /** Milliseconds after which what is still open is terminated. **Default:** no limit. */
  readonly timeout?: number | undefined
  /**
   * Whether our halves end at once, behind what has been written. **Default:** false: connections end by themselves.
   */
  readonly end?: boolean | undefined
}

/** @internal Where to listen or to connect to, as JavaScript may give it: in any combination. */
export interface AddressOptions {
  readonly host?: unknown
  readonly hostname?: unknown
  readonly port?: unknown
  readonly path?: unknown
  readonly unix?: unknown
}

/** @internal An option's value, given by its main name or by its alias, and the name that it was given by. */
export interface NamedValue {
  readonly value: unknown
  readonly name: string
}

/**
 * @internal The host, by either of its names.
 *
 * @throws TypeError when both are given and different
 */
export function hostOption({ host, hostname }: AddressOptions): NamedValue {
  return aliased('host', host, 'hostname', hostname)
}

/** @internal The path of a Unix socket, as {@link hostOption}. */
export function pathOption({ path, unix }: AddressOptions): NamedValue {
  return aliased('path', path, 'unix', unix)
}

function aliased(main: string, value: unknown, alias: string, other: unknown): NamedValue {
  if (value === undefined && other !== undefined) return { value: other, name: `options.${alias}` }
  if (other !== undefined && other !== value) {
    throw invalidArgValue(`options.${alias}`, other, `must be the same as options.${main}, whose alias it is`)
  }
  return { value, name: `options.${main}` }
}

/** @internal What the connections of these options share; errors call the function that was given them `verb`. */
export function ownerOf<D>(options: ConnectionOptions<D>, verb: string): ConnectionOwner<D> {
  const { receiveInto, multiplexer, allowHalfOpen = false, idleTimeout = 0 } = options
  if (receiveInto !== undefined && !(isUint8Array(receiveInto) && receiveInto.byteLength > 0)) {
    throw invalidArgType('options.receiveInto', 'a Uint8Array of at least one byte', receiveInto)
  }
  if (multiplexer !== undefined && !(multiplexer instanceof Multiplexer)) {
    throw invalidArgType('options.multiplexer', 'a Multiplexer', multiplexer)
  }
  return new ConnectionOwner<D>({
    poller: multiplexer?.pollerFor(verb),
    handlers: checkHandlers<D>(options.socket === undefined ? {} : options.socket, 'options.socket'),
    receiveBuffer: receiveInto && new ReceiveBuffer(receiveInto),
    allowHalfOpen: boolean(allowHalfOpen, 'options.allowHalfOpen'),
    idleTimeout: milliseconds(idleTimeout, 'options.idleTimeout'),
    sendQueueLimit: sendQueueLimit(options),
  })
}

function sendQueueLimit(options: ConnectionOptions<never>): number {
  const { sendQueueLimit, highWaterMark } = options
  const { value, name } = aliased('sendQueueLimit', sendQueueLimit, 'highWaterMark', highWaterMark)
  return integer(value === undefined ? DEFAULT_SEND_QUEUE_LIMIT : value, 0, Number.MAX_SAFE_INTEGER, name)
}

/** @internal Only the options of the kernel. */
export function socketOptions(options: SocketOptions): SocketOptions {
  const names = SETTABLE_OPTION_NAMES.filter((name) => options[name] !== undefined)
  return Object.fromEntries(names.map((name) => [name, options[name]]))
}
