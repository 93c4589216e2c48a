import { channel } from 'node:diagnostics_channel'
import { isIP } from 'node:net'

import { AsyncContext } from '../loop/async-context.js'
import { sharedPoller } from '../loop/shared-poller.js'
import { throwLater } from '../loop/timers.js'
import type { Address, InetAddress } from '../model/address.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import type { Source } from '../model/source.js'
import { type GateOwner, HeaderGate } from '../proxy-protocol/gate.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import { HEADERS } from './fields.js'
import { SocketHandle } from './handle.js'
import { ACCEPTED_INTEREST } from './input-handle.js'
import type { ListenerHandle, ListenerOwner } from './listener-handle.js'
import { NODE_MAJOR } from '../node-version.js'
import { setProxy } from './proxied.js'
import { type AcceptedSocket, type ServerState } from './server-state.js'
import { DEFAULT_SETTINGS, SETTINGS, type Settings, hasKeepAlive, setKeepAlive, setNoDelay } from './settings.js'
import { Socket } from './socket.js'

const socketChannel = channel('net.server.socket')

/** What 'drop' says of a connection. */
interface Dropped {
  localAddress?: string | undefined
  localPort?: number | undefined
  localFamily?: string | undefined
  remoteAddress?: string | undefined
  remotePort?: number | undefined
  remoteFamily?: string | undefined
}

/** Makes the streams of a server. */
export class Acceptor implements ListenerOwner {
  readonly #server: ServerState
  /** Shared by the streams, for as long as the server asks for the same. */
  #settings: Settings
  readonly #gate: HeaderGate | undefined
  /** What has accepted the sockets that await their headers. */
  #handle: ListenerHandle | undefined

  constructor(server: ServerState) {
    this.#server = server
    this.#settings = settingsOf(server)
    const headers = server[HEADERS]
    this.#gate = headers && new HeaderGate(headers, this.#keeper())
  }

  /** Has the sockets that a listening one accepts get the options of the server without a call for each. */
  prepare(handle: ListenerHandle): void {
    if (handle.isUnix) return
    setOptions(handle.listener, this.#settings, DEFAULT_SETTINGS)
    handle.inherited = this.#settings
  }

  onAcceptError(error: Error): void {
    this.#server.emit('error', error)
  }

  onAccepted(socket: ModelSocket, isUnix: boolean, handle?: ListenerHandle, isWatched = false): void {
    const server = this.#server
    if (isFull(server)) return drop(server, socket, isUnix)
    if (server.blockList && !isUnix && isBlocked(server.blockList, socket.remoteAddress)) return socket.close()
    if (this.#gate) this.#await(this.#gate, socket, handle, isWatched)
    else this.#begin(socket, isUnix, handle, isWatched)
  }

  /** It counts as a connection meanwhile. */
  #await(gate: HeaderGate, socket: ModelSocket, handle: ListenerHandle | undefined, isWatched: boolean): void {
    this.#handle = handle
    this.#server._connections++
    gate.await(socket, ACCEPTED_INTEREST, isWatched)
  }

  /** What comes of the sockets that await their PROXY headers. */
  #keeper(): GateOwner {
    const context = new AsyncContext()
    return {
      poller: sharedPoller(),
      admit: (socket, header, isWatched) => {
        this.#server._connections--
        try {
          context.run(this.#admit, this, socket, { header, isWatched })
        } catch (error) {
          throwLater(error, context)
        }
      },
      refuse: () => {
        this.#server._connections--
        this.#server._emitCloseIfDrained()
      },
    }
  }

  #admit(socket: ModelSocket, { header, isWatched }: { header: ProxyHeader | undefined; isWatched: boolean }): void {
    const { blockList } = this.#server
    if (blockList && header && isBlocked(blockList, header.source)) {
      socket.resetByWatcher()
      return this.#server._emitCloseIfDrained()
    }
    const isUnix = 'path' in (socket.localAddress ?? {})
    this.#begin(socket, isUnix, this.#handle, isWatched, header)
  }

  #begin(
    socket: ModelSocket,
    isUnix: boolean,
    handle: ListenerHandle | undefined,
    isWatched: boolean,
    header?: ProxyHeader,
  ): void {
    const server = this.#server
    const socketHandle = new SocketHandle(isUnix, socket)
    if (isWatched) socketHandle.watchAccepted()
    const stream = new (Socket as unknown as new (options: object) => AcceptedSocket)({
      handle: socketHandle,
      allowHalfOpen: server.allowHalfOpen,
      pauseOnCreate: server.pauseOnConnect,
      readable: true,
      writable: true,
      readableHighWaterMark: server.highWaterMark,
      writableHighWaterMark: server.highWaterMark,
    })
    if (!isUnix && (server.noDelay || server.keepAlive)) this.#setOptions(stream, socket, handle)
    if (header) setProxy(stream, header)
    stream.server = server
    // A stream that no poller can watch is destroyed by now, and does not count.
    if (!stream.destroyed) {
      server._connections++
      stream._server = server
    }
    socketHandle.finishAccept()
    server.emit('connection', stream)
    if (socketChannel.hasSubscribers) socketChannel.publish({ socket: stream })
  }

  #setOptions(stream: AcceptedSocket, socket: ModelSocket, handle: ListenerHandle | undefined): void {
    const { noDelay, keepAlive, keepAliveInitialDelay } = this.#server
    const known = this.#settings
    const isSame = noDelay === known.noDelay && keepAlive === known.keepAlive
    if (!isSame || keepAliveInitialDelay !== known.keepAliveDelay) this.#settings = settingsOf(this.#server)
    stream[SETTINGS] = this.#settings
    setOptions(socket, this.#settings, handle?.inherited ?? DEFAULT_SETTINGS)
  }
}

/** On Node 20 a limit of 0 is none. */
function isFull({ maxConnections, _connections }: ServerState): boolean {
  if (maxConnections === undefined || maxConnections === null || (maxConnections === 0 && NODE_MAJOR < 22)) return false
  return _connections >= maxConnections
}

function drop(server: ServerState, socket: ModelSocket, isUnix: boolean): void {
  if (isUnix) server.emit('drop')
  else server.emit('drop', describe(socket))
  socket.close()
}

function describe(socket: ModelSocket): Dropped {
  const [local, remote] = [socket.localAddress, socket.remoteAddress] as Partial<InetAddress>[]
  return Object.assign(Object.create(null), {
    localAddress: local?.address,
    localPort: local?.port,
    localFamily: local?.family,
    remoteAddress: remote?.address,
    remotePort: remote?.port,
    remoteFamily: remote?.family,
  }) as Dropped
}

function isBlocked(list: NonNullable<ServerState['blockList']>, remote: Address | undefined): boolean {
  if (!remote || 'path' in remote) return false
  const { address } = remote
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** What the listening socket has, an accepted one has too. */
function setOptions(socket: Source, settings: Settings, inherited: Settings): void {
  if (settings === inherited) return
  if (settings.noDelay && !inherited.noDelay) setNoDelay(socket, true)
  if (settings.keepAlive && !hasKeepAlive(inherited, settings)) setKeepAlive(socket, settings)
}

function settingsOf({ noDelay, keepAlive, keepAliveInitialDelay: keepAliveDelay }: ServerState): Settings {
  return noDelay || keepAlive ? { ...DEFAULT_SETTINGS, noDelay, keepAlive, keepAliveDelay } : DEFAULT_SETTINGS
}
