import { channel } from 'node:diagnostics_channel'
import { isIP } from 'node:net'

import { type InetAddress } from '../model/address.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import { SocketHandle } from './handle.js'
import type { ListenerHandle, ListenerOwner } from './listener-handle.js'
import { NODE_MAJOR } from './node-version.js'
import { type AcceptedSocket, type ServerState } from './server-state.js'
import { keepAliveOption, noteSettings } from './settings.js'
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

  constructor(server: ServerState) {
    this.#server = server
  }

  onAcceptError(error: Error): void {
    this.#server.emit('error', error)
  }

  onAccepted(socket: ModelSocket, isUnix: boolean, handle?: ListenerHandle): void {
    const server = this.#server
    if (isFull(server)) return drop(server, socket, isUnix)
    if (server.blockList && !isUnix && isBlocked(server.blockList, socket)) return socket.close()
    const stream = new (Socket as unknown as new (options: object) => AcceptedSocket)({
      handle: SocketHandle.accepted(socket, isUnix),
      allowHalfOpen: server.allowHalfOpen,
      pauseOnCreate: server.pauseOnConnect,
      readable: true,
      writable: true,
      readableHighWaterMark: server.highWaterMark,
      writableHighWaterMark: server.highWaterMark,
    })
    if (!isUnix) setOptions(server, stream, socket, handle)
    server._connections++
    stream.server = server
    stream._server = server
    server.emit('connection', stream)
    if (socketChannel.hasSubscribers) socketChannel.publish({ socket: stream })
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

function isBlocked(list: NonNullable<ServerState['blockList']>, socket: ModelSocket): boolean {
  const { address } = socket.remoteAddress as InetAddress
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** What the listening socket has, an accepted one has too. */
function setOptions(
  server: ServerState,
  stream: AcceptedSocket,
  socket: ModelSocket,
  handle: ListenerHandle | undefined,
): void {
  noteSettings(stream as unknown as Socket, server)
  if (server.noDelay && handle?.hasNoDelay !== true) ignoringErrors(() => socket.setOption('noDelay', true))
  if (!server.keepAlive) return
  const delay = server.keepAliveInitialDelay
  if (handle?.keepAliveDelay !== delay) ignoringErrors(() => socket.setOption('keepAlive', keepAliveOption(delay)))
}

/** Has the sockets that a listening one accepts get the options of the server without a call for each. */
export function setInherited(server: ServerState, handle: ListenerHandle): void {
  if (handle.isUnix) return
  const { listener } = handle
  if (server.noDelay) handle.hasNoDelay = ignoringErrors(() => listener.setOption('noDelay', true))
  if (!server.keepAlive) return
  const delay = server.keepAliveInitialDelay
  if (ignoringErrors(() => listener.setOption('keepAlive', keepAliveOption(delay)))) handle.keepAliveDelay = delay
}

/** Returns whether there was none: node:net ignores what setsockopt(2) says here. */
function ignoringErrors(act: () => void): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}
