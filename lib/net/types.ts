/**
 * The types of `m-socket/net`: those of `node:net`, and what is besides. All else that the module exports is as in Node's
 * documentation of `node:net`.
 *
 * @module m-socket/net
 */

import type * as nodeNet from 'node:net'

import type { Listener } from '../model/listener.js'
import type { MultipathOption } from '../model/multipath.js'
import type { Socket as ModelSocket } from '../model/socket.js'
import type { UnixFileOptions } from '../model/unix-file.js'
import type { SocketOptions } from '../options/types.js'
import type { ProxyProtocol } from '../proxy-protocol/policy.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'

type Module = typeof nodeNet

/** Options of the kernel, where node:net has none of the same name. */
type KernelOptions<Known> = Omit<SocketOptions & MultipathOption, keyof Known>

/** What a limit of the queue is given with. */
export interface QueueOption {
  /**
   * Bytes that may wait to be sent. A write that leaves more waiting destroys the stream with a
   * SocketQueueError. **Default:** no limit, as in node:net.
   */
  sendQueueLimit?: number | undefined
}

/** What a client may send before all else. */
export interface FirstHeaderOption {
  /**
   * A header of the PROXY protocol, which is sent before all else. Its source and destination are by default the
   * addresses of the connection. **Default:** none.
   */
  proxyProtocol?: ProxyHeader | undefined
}

/** How the connections of a server may begin. */
export interface ProxyProtocolOption {
  /**
   * Reads the header of the PROXY protocol by which a proxy says whose connection it is: the addresses of the socket are
   * then the client's. 'connection' is emitted when the header has come. **Default:** no header is read.
   */
  proxyProtocol?: ProxyProtocol | undefined
}

/** What `new Socket` takes. */
export type SocketConstructorOpts = nodeNet.SocketConstructorOpts & QueueOption
/** What `socket.connect` takes for an Internet address: also options of the kernel. */
export type TcpSocketConnectOpts = nodeNet.TcpSocketConnectOpts &
  KernelOptions<nodeNet.TcpSocketConnectOpts> &
  FirstHeaderOption
/** What `socket.connect` takes for a Unix path: also options of the kernel. */
export type IpcSocketConnectOpts = nodeNet.IpcSocketConnectOpts &
  KernelOptions<nodeNet.IpcSocketConnectOpts> &
  FirstHeaderOption
/** What `socket.connect` takes. */
export type SocketConnectOpts = TcpSocketConnectOpts | IpcSocketConnectOpts
/** What `connect` takes for an Internet address: also options of the kernel. */
export type TcpNetConnectOpts = nodeNet.TcpNetConnectOpts &
  KernelOptions<nodeNet.TcpNetConnectOpts> &
  QueueOption &
  FirstHeaderOption
/** What `connect` takes for a Unix path: also options of the kernel. */
export type IpcNetConnectOpts = nodeNet.IpcNetConnectOpts &
  KernelOptions<nodeNet.IpcNetConnectOpts> &
  QueueOption &
  FirstHeaderOption
/** What `connect` and `createConnection` take. */
export type NetConnectOpts = TcpNetConnectOpts | IpcNetConnectOpts

/** What `listen` takes: also options of the kernel, and how the file of a Unix socket is made and removed. */
export type ListenOptions = nodeNet.ListenOptions &
  KernelOptions<nodeNet.ListenOptions> &
  UnixFileOptions &
  ProxyProtocolOption & {
    /** A listener, or a server whose listening socket is shared. A listener belongs to the server from then on. */
    handle?: Listener | nodeNet.Server | object | undefined
    /** As a listener as `handle`. */
    listener?: Listener | undefined
  }

/** `net.Socket`, over a socket of this library. */
export type Socket = nodeNet.Socket & {
  /** The socket beneath; undefined until connect(2) is called. */
  readonly socket: ModelSocket | undefined
  /** What the proxy in front has said of the connection, whose addresses are then the client's. */
  readonly proxy: ProxyHeader | undefined
  /** As node:net's, with these options. */
  connect(options: SocketConnectOpts, connectionListener?: () => void): Socket
}

/** What `createServer` and `new Server` take. */
export type ServerOpts = nodeNet.ServerOpts & ProxyProtocolOption

/** `net.Server`, over a listener of this library. */
export type Server = nodeNet.Server & {
  /** As node:net's, with these options. */
  listen(options: ListenOptions, listeningListener?: () => void): Server
}

/** The class `Socket`. */
export interface SocketConstructor extends Omit<Module['Socket'], 'prototype'> {
  new (options?: SocketConstructorOpts): Socket
  /** What its instances inherit. */
  readonly prototype: Socket
}

type ConnectionListener = (socket: Socket) => void

/** The class `Server`. */
export interface ServerConstructor extends Omit<Module['Server'], 'prototype'> {
  new (connectionListener?: ConnectionListener): Server
  new (options?: ServerOpts, connectionListener?: ConnectionListener): Server
  /** What its instances inherit. */
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
  (options?: ServerOpts, connectionListener?: ConnectionListener): Server
}

type Replaced = 'Socket' | 'Server' | 'connect' | 'createConnection' | 'createServer'

/** The module `m-socket/net`. */
export type Net = Omit<Module, Replaced> & {
  /** The class of sockets. */
  Socket: SocketConstructor
  /** The old name of `Socket`. */
  Stream: SocketConstructor
  /** The class of servers. */
  Server: ServerConstructor
  /** Connects, as node:net's; also with options of the kernel. */
  connect: Connect
  /** An alias of `connect`. */
  createConnection: Connect
  /** Makes a server, as node:net's. */
  createServer: CreateServer
}
