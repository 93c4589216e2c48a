import type { EventEmitter } from 'node:events'
import type { BlockList, Socket } from 'node:net'

import type { HeaderPolicy } from '../proxy-protocol/policy.js'
import type { CREATED_HEADERS, HANDLE, HEADERS } from './fields.js'
import type { Extras } from './listen-options.js'
import type { ListenerHandle } from './listener-handle.js'
import type { NativeHandle } from './native-handle.js'
import type { SETTINGS, Settings } from './settings.js'

/** What child_process has of the sockets of a server that were sent to a child. */
interface SocketList extends EventEmitter {
  getConnections(callback: (error: Error | null, count: number) => void): void
  close(callback: () => void): void
}

/** What node:net has as the fields of a server. */
export interface ServerFields {
  _connections: number
  _unref: boolean
  _listeningId: number
  _pipeName?: string
  allowHalfOpen: boolean
  pauseOnConnect: boolean
  noDelay: boolean
  keepAlive: boolean
  /** In seconds. */
  keepAliveInitialDelay: number
  highWaterMark: number
  dropMaxConnection?: boolean
  blockList?: BlockList
  _emitCloseIfDrained(): void
}

/** A server of `m-socket/net`. */
export interface ServerState extends EventEmitter, ServerFields {
  [HANDLE]: ListenerHandle | NativeHandle | null
  [HEADERS]?: HeaderPolicy | undefined
  [CREATED_HEADERS]?: HeaderPolicy
  _handle: NativeHandle | null
  _usingWorkers: boolean
  _workers: SocketList[]
  _connectionKey?: string
  maxConnections?: number | null
  listen(...args: unknown[]): this
  close(callback?: (error?: Error) => void): this
  ref(): this
  unref(): this
  _listen2(
    address: string | null,
    port: number | null,
    addressType: number | null,
    backlog: unknown,
    fd?: number,
    flags?: number,
    extras?: Extras,
  ): void
}

/** A socket with what it needs of the server that accepted it. */
export interface AcceptedSocket extends Socket {
  [SETTINGS]: Settings
  server: ServerState
  _server: ServerState
}
