import nodeNet from 'node:net'

import type { Address } from '../model/address.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { type BufferedWrite, lengthOfWrite, lengthOfWrites } from './buffered-writes.js'
import { handleForChild, isChildProcessAsking, leaveToChild } from './child-process.js'
import { ContextDuplex } from './context.js'
import { HANDLE, TOTALS } from './fields.js'
import type { SocketHandle } from './handle.js'
import { IS_NODE } from '../node-version.js'
import { prepareStreamWrap } from './stream-wrap.js'

/** As Node has it: without a handle there is none. */
export type SocketAddressInfo = Partial<{ address: string; family: string; port: number }>

/** What a stream has besides the state of its two halves, and what can be asked of it. */
export abstract class SocketBase extends ContextDuplex {
  declare [HANDLE]: SocketHandle | null;
  declare [TOTALS]: { readonly read: number; readonly written: number } | undefined
  /** Our socket beneath; undefined until connect(2) is called. */
  declare socket: ModelSocket | undefined
  declare connecting: boolean
  declare timeout: number | undefined
  declare server: unknown
  declare _server: { _connections: number; _emitCloseIfDrained?(): void } | null
  declare _parent: SocketBase | null
  declare _host: string | null
  declare _hadError: boolean
  declare _peername: SocketAddressInfo | null
  declare _sockname: SocketAddressInfo | null
  declare _pendingData: PendingData
  declare _pendingEncoding: string
  declare proxy: ProxyHeader | undefined
  declare blockList: nodeNet.BlockList | undefined
  declare autoSelectFamilyAttemptedAddresses: string[] | undefined

  /** Node's own modules would use a handle of Node's: only node:child_process gets one. */
  get _handle(): object | null {
    if (isChildProcessAsking()) return handleForChild(this)
    prepareStreamWrap()
    return null
  }

  /** Whatever a program puts there is its own. */
  set _handle(handle: unknown) {
    if (handle === null && isChildProcessAsking()) leaveToChild(this)
  }

  get _connecting(): boolean {
    return this.connecting
  }

  get pending(): boolean {
    return !this[HANDLE] || this.connecting
  }

  get readyState(): nodeNet.SocketReadyState {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : ('closed' as nodeNet.SocketReadyState)
  }

  get bufferSize(): number | undefined {
    return this[HANDLE] ? this.writableLength : undefined
  }

  /** Bytes received from the network. */
  get bytesRead(): number {
    const handle = this[HANDLE]
    return handle ? (handle.socket?.bytesReceived ?? 0) : (this[TOTALS]?.read ?? 0)
  }

  get _bytesDispatched(): number {
    return this[HANDLE]?.bytesWritten ?? this[TOTALS]?.written ?? 0
  }

  /** Bytes written to the stream, those that wait included. */
  get bytesWritten(): number | undefined {
    const waiting = (this as unknown as { writableBuffer?: BufferedWrite[] }).writableBuffer
    if (!waiting) return undefined
    return this._bytesDispatched + lengthOfWrites(waiting) + lengthOfPending(this._pendingData, this._pendingEncoding)
  }

  address(): SocketAddressInfo {
    return this._getsockname()
  }

  _getsockname(): SocketAddressInfo {
    const socket = this[HANDLE]?.socket
    if (!socket) return {}
    return (this._sockname ??= toInfo(socket.localAddress))
  }

  _getpeername(): SocketAddressInfo {
    const handle = this[HANDLE]
    if (!handle?.socket || this.connecting) return this._peername ?? {}
    if (this._peername) return this._peername
    const { remoteAddress } = handle.socket
    if (!remoteAddress) return {}
    return (this._peername = toInfo(remoteAddress))
  }

  get localAddress(): string | undefined {
    return this._getsockname().address
  }

  get localPort(): number | undefined {
    return this._getsockname().port
  }

  get localFamily(): string | undefined {
    return this._getsockname().family
  }

  get remoteAddress(): string | undefined {
    return this._getpeername().address
  }

  get remotePort(): number | undefined {
    return this._getpeername().port
  }

  get remoteFamily(): string | undefined {
    return this._getpeername().family
  }
}

// On Node every stream is an instance of Node's Socket, too. Bun and Deno would take it for one of their own, with a
// handle, and no TLS handshake would begin.
if (IS_NODE) Object.setPrototypeOf(ContextDuplex.prototype, nodeNet.Socket.prototype)

/** Unix sockets have no such address. */
export function toInfo(address: Address | undefined): SocketAddressInfo {
  return address && 'port' in address ? address : {}
}

/** What is written as soon as the socket has connected. */
export type PendingData = Uint8Array | string | BufferedWrite[] | null

function lengthOfPending(data: PendingData, encoding: string): number {
  if (data === null) return 0
  return Array.isArray(data) ? lengthOfWrites(data) : lengthOfWrite(data, encoding)
}
