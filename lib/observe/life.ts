import type { AsyncContext } from '../loop/async-context.js'
import type { Address } from '../model/address.js'
import {
  CONNECTION_CLOSE,
  CONNECTION_OPEN,
  CONNECT_END,
  CONNECT_ERROR,
  CONNECT_START,
  SERVER_LISTEN,
} from './channels.js'
import { type Ends, describeAddress, describeEnds, describeError, describePlace } from './describe.js'
import { isLogging, logLine } from './log.js'

// What servers and connections report of their lives: to the subscribers of node:diagnostics_channel, and by a line each
// where NODE_DEBUG has m-socket. Without either, each of these is two comparisons.

interface Listening {
  readonly address: Address | undefined
}

interface Living extends Ends {
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** Where `connect` connects to, as it was given. */
interface Destination {
  readonly host?: unknown
  readonly hostname?: unknown
  readonly port?: unknown
  readonly path?: unknown
  readonly unix?: unknown
}

/** Why connections that are closed without an error are closed, for their lines. */
const reasons = new WeakMap<object, string>()

export function serverListens(server: Listening): void {
  if (isLogging) logLine(`listen ${describeAddress(server.address)}`)
  if (SERVER_LISTEN.hasSubscribers) SERVER_LISTEN.publish({ server })
}

/** No connections are accepted any more, from here on. */
export function serverStops(server: Listening): void {
  if (isLogging && server.address) logLine(`stop ${describeAddress(server.address)}`)
}

/** No connection is accepted for a time, or while as many are open as may be. */
export function acceptingPauses(server: Listening, why: unknown): void {
  if (isLogging) logLine(`accept paused ${describeAddress(server.address)}: ${describeError(why)}`)
}

/** A connection was accepted, and closed before a handler was given it. */
export function connectionRefused(server: Listening, error: unknown): void {
  if (isLogging) logLine(`refuse ${describeAddress(server.address)}: ${describeError(error)}`)
}

/** Comes before the `open` handler. */
export function connectionOpens(connection: Living, context: AsyncContext): void {
  if (isLogging) logLine(`open ${describeEnds(connection)}`)
  if (CONNECTION_OPEN.hasSubscribers) context.run(publishOpen, undefined, connection, undefined)
}

/** Comes after the `close` handler. */
export function connectionCloses(connection: Living, error: Error | undefined, context: AsyncContext): void {
  if (isLogging) logClose(connection, error)
  if (CONNECTION_CLOSE.hasSubscribers) context.run(publishClose, undefined, connection, error)
}

/** Whether the addresses of a connection are asked for once it is closed. */
export function isCloseObserved(): boolean {
  return isLogging || CONNECTION_CLOSE.hasSubscribers
}

/** Says why a connection is closed next, without an error. */
export function closesFor(reason: string, connection: object): void {
  if (isLogging) reasons.set(connection, reason)
}

export function connectStarts(options: Destination): void {
  if (isLogging) logLine(`connect start ${describeDestination(options)}`)
  if (CONNECT_START.hasSubscribers) CONNECT_START.publish({ options })
}

/** One of several attempts has failed. */
export function attemptFails(error: unknown): void {
  if (isLogging) logLine(`connect attempt: ${describeError(error)}`)
}

/** Comes after the `open` handler. */
export function connectEnds(connection: Living): void {
  if (isLogging) logLine(`connect end ${describeEnds(connection)}`)
  if (CONNECT_END.hasSubscribers) CONNECT_END.publish({ connection })
}

/** Comes after the `connectError` handler. */
export function connectFails(options: Destination, error: unknown): void {
  if (isLogging) logLine(`connect error ${describeDestination(options)}: ${describeError(error)}`)
  if (CONNECT_ERROR.hasSubscribers) CONNECT_ERROR.publish({ options, error })
}

function publishOpen(connection: Living): void {
  CONNECTION_OPEN.publish({ connection })
}

function publishClose(connection: Living, error: Error | undefined): void {
  CONNECTION_CLOSE.publish({ connection, error })
}

function logClose(connection: Living, error: Error | undefined): void {
  const reason = error ? describeError(error) : (reasons.get(connection) ?? 'ended')
  const { bytesRead, bytesWritten } = connection
  logLine(`close ${describeEnds(connection)}: ${reason}, ${bytesRead} bytes read, ${bytesWritten} bytes written`)
}

function describeDestination({ host, hostname, port, path, unix }: Destination): string {
  const name = path ?? unix ?? host ?? hostname
  return describePlace(String(name), port === undefined ? undefined : String(port))
}
