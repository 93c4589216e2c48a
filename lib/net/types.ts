// The types of `m-socket/net`: those of node:net, and what is besides.

import type * as nodeNet from 'node:net'

import type { Listener } from '../model/listener.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import type { UnixFileOptions } from '../model/unix-file.js'
import type { SocketOptions } from '../options/types.js'

type Module = typeof nodeNet

/** Options of the kernel, where node:net has none of the same name. */
type KernelOptions<Known> = Omit<SocketOptions, keyof Known>

/** What a limit of the queue is given with. */
interface QueueOption {
  /**
   * Bytes that may wait to be sent. A write that leaves more waiting destroys the stream with a
   * SocketQueueError. **Default:** no limit, as in node:net.
   */
  sendQueueLimit?: number | undefined
}

export type SocketConstructorOpts = nodeNet.SocketConstructorOpts & QueueOption
export type TcpSocketConnectOpts = nodeNet.TcpSocketConnectOpts & KernelOptions<nodeNet.TcpSocketConnectOpts>
export type IpcSocketConnectOpts = nodeNet.IpcSocketConnectOpts & KernelOptions<nodeNet.IpcSocketConnectOpts>
export type SocketConnectOpts = TcpSocketConnectOpts | IpcSocketConnectOpts
export type TcpNetConnectOpts = nodeNet.TcpNetConnectOpts & KernelOptions<nodeNet.TcpNetConnectOpts> & QueueOption
export type IpcNetConnectOpts = nodeNet.IpcNetConnectOpts & KernelOptions<nodeNet.IpcNetConnectOpts> & QueueOption
export type NetConnectOpts = TcpNetConnectOpts | IpcNetConnectOpts

/** What `listen` takes: also options of the kernel, and how the file of a Unix socket is made and removed. */
export type ListenOptions = nodeNet.ListenOptions &
  KernelOptions<nodeNet.ListenOptions> &
  UnixFileOptions & {
    /** A listener, or a server whose listening socket is shared. A listener belongs to the server from then on. */
    handle?: Listener | nodeNet.Server | object | undefined
  }

/** `net.Socket`, over a socket of this library. */
export type Socket = nodeNet.Socket & {
  /** The socket beneath; undefined until connect(2) is called. */
  readonly socket: ModelSocket | undefined
  connect(options: SocketConnectOpts, connectionListener?: () => void): Socket
}

/** `net.Server`, over a listener of this library. */
export type Server = nodeNet.Server & {
  listen(options: ListenOptions, listeningListener?: () => void): Server
}

/** The class `Socket`. */
export interface SocketConstructor extends Omit<Module['Socket'], 'prototype'> {
  new (options?: SocketConstructorOpts): Socket
  readonly prototype: Socket
}

type ConnectionListener = (socket: Socket) => void

/** The class `Server`. */
export interface ServerConstructor extends Omit<Module['Server'], 'prototype'> {
  new (connectionListener?: ConnectionListener): Server
  new (options?: nodeNet.ServerOpts, connectionListener?: ConnectionListener): Server
  readonly prototype: Server
}

/** `net.connect` and `net.createConnection`. */
export interface Connect {
  (options: NetConnectOpts, connectionListener?: () => void): Socket
  (port: number, host?: string, connectionListener?: () => void): Socket
  (path: string, connectionListener?: () => void): Socket
}

/** `net.createServer`. */
export interface CreateServer {
  (connectionListener?: ConnectionListener): Server
  (options?: nodeNet.ServerOpts, connectionListener?: ConnectionListener): Server
}

type Replaced = 'Socket' | 'Server' | 'connect' | 'createConnection' | 'createServer'

/** The module `m-socket/net`. */
export type Net = Omit<Module, Replaced> & {
  Socket: SocketConstructor
  /** The old name of `Socket`. */
  Stream: SocketConstructor
  Server: ServerConstructor
  connect: Connect
  createConnection: Connect
  createServer: CreateServer
}
