/**
 * `node:net` over the sockets of this library: the same names, types and behaviour. Off Linux it is `node:net` itself.
 */

import { createRequire } from 'node:module'
import nodeNet from 'node:net'

import type * as types from './types.js'

// Also what only a newer Node has. What is exported by name below takes precedence.
export * from 'node:net'
export type {
  IpcNetConnectOpts,
  IpcSocketConnectOpts,
  ListenOptions,
  NetConnectOpts,
  SocketConnectOpts,
  SocketConstructorOpts,
  TcpNetConnectOpts,
  TcpSocketConnectOpts,
} from './types.js'
// They are also values here, whose names would hide the types above.
export type Socket = types.Socket
export type Stream = types.Socket
export type Server = types.Server

type Net = types.Net

// A module that is chosen at run time cannot be imported without top-level await, which `require` refuses.
const net: Net =
  process.platform === 'linux'
    ? (createRequire(import.meta.url)('./linux.js') as { net: Net }).net
    : (nodeNet as unknown as Net)

// Types by the names that node:net has them: `let socket: net.Socket`.
namespace net {
  export type AddressInfo = nodeNet.AddressInfo
  export type BlockList = nodeNet.BlockList
  export type DropArgument = nodeNet.DropArgument
  export type IPVersion = nodeNet.IPVersion
  export type IpcNetConnectOpts = types.IpcNetConnectOpts
  export type IpcSocketConnectOpts = types.IpcSocketConnectOpts
  export type ListenOptions = types.ListenOptions
  export type LookupFunction = nodeNet.LookupFunction
  export type NetConnectOpts = types.NetConnectOpts
  export type OnReadOpts = nodeNet.OnReadOpts
  export type Server = types.Server
  export type ServerOpts = nodeNet.ServerOpts
  export type Socket = types.Socket
  export type SocketAddress = nodeNet.SocketAddress
  export type SocketAddressInitOptions = nodeNet.SocketAddressInitOptions
  export type SocketConnectOpts = types.SocketConnectOpts
  export type SocketConstructorOpts = types.SocketConstructorOpts
  export type SocketReadyState = nodeNet.SocketReadyState
  export type TcpNetConnectOpts = types.TcpNetConnectOpts
  export type TcpSocketConnectOpts = types.TcpSocketConnectOpts
}

export default net
/**
 * What `require` returns. Not in the declarations, since TypeScript 5.2 cannot parse it.
 *
 * @internal
 */
export { net as 'module.exports' }

export const { Server, Socket, Stream, connect, createConnection, createServer } = net
