import { getSystemErrorName, inspect } from 'node:util'

/** What a {@link SocketError} has besides its message and code. */
export interface SocketErrorDetails {
  /** The error number, negative as in Node. */
  errno?: number
  /** The system call that failed. */
  syscall?: string
  /** The IP address or the path of the Unix socket. */
  address?: string
  /** The port; absent for a Unix socket. */
  port?: number
}

/** The address that a call was directed to: an IP address or the path of a Unix socket. */
export type ErrorAddress = { readonly address: string; readonly port?: number } | { readonly path: string }

/** The operating system, or the state of a socket, refused a call: the base of all socket errors. */
export class SocketError extends Error {
  /** The name of the errno, `'ECONNREFUSED'`, or of the state, `'ERR_SOCKET_CLOSED'`. */
  readonly code: string
  /** The error number, negative as in Node; absent if no system call failed. */
  declare readonly errno?: number
  /** The system call that failed. */
  declare readonly syscall?: string
  /** The IP address or the path that the call was directed to. */
  declare readonly address?: string
  /** The port that the call was directed to. */
  declare readonly port?: number
  /** Of a `sendFile` that has failed: how many bytes of the file the kernel had taken. */
  declare readonly bytesSent?: number
  /** Of a read of a connection that has failed: how many of its bytes had come. */
  declare readonly received?: number
  /** Of a `writeAll` that has failed: how many of its bytes had been accepted. */
  declare readonly accepted?: number

  static {
    nameClass(this, 'SocketError')
  }

  constructor(message: string, code: string, details: SocketErrorDetails = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    Object.assign(this, details)
  }
}

/** The socket, listener or multiplexer was closed by this program. */
export class SocketClosedError extends SocketError {
  static {
    nameClass(this, 'SocketClosedError')
  }

  constructor(message = 'The socket is closed', options?: ErrorOptions) {
    super(message, 'ERR_SOCKET_CLOSED', {}, options)
  }
}

/** The send queue has reached its limit and takes nothing more. */
export class SocketQueueError extends SocketError {
  static {
    nameClass(this, 'SocketQueueError')
  }

  constructor(message = 'The send queue is full', options?: ErrorOptions) {
    super(message, 'ERR_SOCKET_QUEUE_FULL', {}, options)
  }
}

/** The names that libuv does not know, and Node therefore neither. */
const MISSING_NAMES = new Map([[109, 'ETOOMANYREFS']])

/**
 * The error of a failed system call, with the message that Node would give it: `connect ECONNREFUSED 127.0.0.1:1`.
 *
 * @param errno the positive error number
 * @param note what else the reader needs, put after a colon
 */
export function systemError(errno: number, syscall: string, at?: ErrorAddress, note?: string): SocketError {
  const code = MISSING_NAMES.get(errno) ?? getSystemErrorName(-errno)
  const where = at === undefined ? '' : ` ${describeAddress(at)}`
  const details: SocketErrorDetails = { errno: -errno, syscall }
  if (at !== undefined) {
    details.address = 'path' in at ? at.path : at.address
    if (!('path' in at) && at.port !== undefined) details.port = at.port
  }
  return new SocketError(`${syscall} ${code}${where}${note === undefined ? '' : `: ${note}`}`, code, details)
}

const OUT_OF_MEMORY = new Set(['ENOBUFS', 'ENOMEM'])
const EXHAUSTED = new Set([...OUT_OF_MEMORY, 'EMFILE', 'ENFILE'])

/** Whether the kernel, or the process, has no memory left: the call may succeed later. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof SocketError && OUT_OF_MEMORY.has(error.code)
}

/** Whether memory or descriptors have run out: the call may succeed later. */
export function isExhausted(error: unknown): boolean {
  return error instanceof SocketError && EXHAUSTED.has(error.code)
}

/** Whether a relay has the socket: only the call was refused. */
export function isBusy(error: unknown): boolean {
  return error instanceof SocketError && error.code === 'EBUSY'
}

/** ERR_INVALID_ARG_TYPE; `expected` completes "must be": `of type number`, `an instance of Uint8Array`. */
export function invalidArgType(name: string, expected: string, value: unknown): TypeError & { code: string } {
  return withCode(
    new TypeError(`The "${name}" ${kindOf(name)} must be ${expected}. Received ${describeType(value)}`),
    'ERR_INVALID_ARG_TYPE',
  )
}

/** ERR_INVALID_ARG_VALUE; `reason` completes the sentence: `must be one of: 'r', 'w'`. */
export function invalidArgValue(name: string, value: unknown, reason: string): TypeError & { code: string } {
  return withCode(
    new TypeError(`The ${kindOf(name)} '${name}' ${reason}. Received ${shorten(inspect(value), 128)}`),
    'ERR_INVALID_ARG_VALUE',
  )
}

/**
 * ERR_INVALID_ARG_TYPE of options that exclude each other; `expected` completes "must have": `either path, or host`.
 *
 * @param names the options in question, of which those that are given are listed
 */
export function conflictingOptions(
  expected: string,
  options: object,
  names: readonly string[],
): TypeError & { code: string } {
  const given = names.filter((name) => (options as Record<string, unknown>)[name] !== undefined)
  const message = `The "options" argument must have ${expected}. Received ${given.join(', ')}`
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE')
}

/** ERR_OUT_OF_RANGE; `range` completes "It must be": `>= 0 && <= 255`. */
export function outOfRange(name: string, range: string, value: unknown): RangeError & { code: string } {
  return withCode(
    new RangeError(
      `The value of "${name}" is out of range. It must be ${range}. Received ${shorten(inspect(value), 128)}`,
    ),
    'ERR_OUT_OF_RANGE',
  )
}

/** ERR_SOCKET_BAD_PORT. */
export function badPort(name: string, value: unknown): RangeError & { code: string } {
  return withCode(
    new RangeError(`${name} should be >= 0 and < 65536. Received ${describeType(value)}.`),
    'ERR_SOCKET_BAD_PORT',
  )
}

/** ERR_ILLEGAL_CONSTRUCTOR: instances come from elsewhere. */
export function illegalConstructor(name: string, maker: string): TypeError & { code: string } {
  return withCode(new TypeError(`Illegal constructor: a ${name} is made by ${maker}`), 'ERR_ILLEGAL_CONSTRUCTOR')
}

/** ERR_INVALID_STATE: the call is not possible now. */
export function invalidState(message: string): Error & { code: string } {
  return withCode(new Error(`Invalid state: ${message}`), 'ERR_INVALID_STATE')
}

/** ERR_PROXY_HEADER: bytes that are no header of the PROXY protocol, or not one that is allowed. */
export function malformedHeader(reason: string): SocketError {
  return new SocketError(`Malformed PROXY header: ${reason}`, 'ERR_PROXY_HEADER')
}

/** ERR_UNEXPECTED_END: the peer has ended where more was expected: `the delimiter`, `10 bytes`. */
export function unexpectedEnd(received: number, expected: string): SocketError {
  return new SocketError(`The peer ended after ${received} bytes, before ${expected}`, 'ERR_UNEXPECTED_END')
}

/** ERR_LIMIT_EXCEEDED: what is read does not end within `limit` bytes. */
export function limitExceeded(limit: number): SocketError {
  return new SocketError(`What is read has more than ${limit} bytes`, 'ERR_LIMIT_EXCEEDED')
}

const CODES_OF_READS = new Set(['ERR_UNEXPECTED_END', 'ERR_LIMIT_EXCEEDED'])

/** Whether an error that reading has thrown is one of the connection, and not of that read alone. */
export function breaksConnection(error: unknown): boolean {
  return error instanceof SocketError && !CODES_OF_READS.has(error.code)
}

/** A copy of what ended a connection, for one of the writes that were in progress. */
export function withAccepted(error: Error, accepted: number): SocketError {
  const { message } = error
  const options = { cause: error }
  if (!(error instanceof SocketError) || error instanceof SocketClosedError)
    return Object.assign(new SocketClosedError(message, options), { accepted })
  const { errno, syscall, address, port } = error
  const details = { ...(errno === undefined ? {} : { errno }), ...(syscall === undefined ? {} : { syscall }) }
  const place = { ...(address === undefined ? {} : { address }), ...(port === undefined ? {} : { port }) }
  return Object.assign(new SocketError(message, error.code, { ...details, ...place }, options), { accepted })
}

/** An error as Node's of an operation that an AbortSignal ends: `AbortError`, ABORT_ERR; the reason is its cause. */
export function abortError<T extends object>(signal: AbortSignal, details: T): SocketError & T {
  const error = new SocketError('The operation was aborted', 'ABORT_ERR', {}, { cause: signal.reason })
  error.name = 'AbortError'
  return Object.assign(error, details)
}

/** Sets the name on the prototype: V8 writes the stack, which begins with it, while the Error is constructed. */
function nameClass(
  errorClass: typeof SocketError | typeof SocketClosedError | typeof SocketQueueError,
  name: string,
): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, configurable: true, writable: true })
}

function withCode<E extends Error>(error: E, code: string): E & { code: string } {
  return Object.assign(error, { code })
}

/** A port of 0 is left out, as in Node; an abstract path has `@` for NUL, as in /proc/net/unix. */
function describeAddress(at: ErrorAddress): string {
  if ('path' in at) return at.path.replaceAll('\0', '@')
  return at.port === undefined || at.port === 0 ? at.address : `${at.address}:${at.port}`
}

function kindOf(name: string): 'argument' | 'property' {
  return name.includes('.') ? 'property' : 'argument'
}

/** As Node words it: `undefined`, `function f`, `an instance of Map`, `type number (5)`. */
function describeType(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name}`
  if (typeof value === 'object') {
    const constructor: unknown = value.constructor
    return typeof constructor === 'function' && constructor.name !== ''
      ? `an instance of ${constructor.name}`
      : shorten(inspect(value, { depth: -1 }), 128)
  }
  return `type ${typeof value} (${shorten(inspect(value), 25)})`
}

function shorten(text: string, length: number): string {
  return text.length > length + 3 ? `${text.slice(0, length)}...` : text
}
