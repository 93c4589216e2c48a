/// <reference lib="es2021.promise" preserve="true" />
/// <reference lib="es2022.error" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
import '../loadable.js'

export { Listener, type ListenerOptions } from './model/listener.js'
export {
  type SendStatus,
  type ShutdownHow,
  Socket,
  type SocketConnectOptions,
  type SocketState,
} from './model/socket.js'
export { Multiplexer } from './model/multiplexer.js'
export type { Descriptor, Event, Interest, Mode, Target } from './model/event.js'
export type { Address, InetAddress, UnixAddress } from './model/address.js'
export { listen, type ConnectionOptions, type ListenOptions, Server } from './connection/server.js'
export { connect, type ConnectAttemptError, type ConnectOptions } from './connection/connect.js'
export { Connection, type ReadyState } from './connection/connection.js'
export type { Answer, Handlers } from './connection/handlers.js'
export type { Writable } from './loop/receive-buffer.js'
export type { Source } from './model/source.js'
export { SocketDuplex, type SocketDuplexOptions, toDuplex } from './streams/duplex.js'
export { type SocketInfo, type WebStreams, toWeb } from './streams/web.js'
export { SocketClosedError, SocketError, type SocketErrorDetails, SocketQueueError } from './errors.js'
export {
  type KeepAlive,
  OPTION_NAMES,
  type OptionName,
  type OptionValue,
  type OriginalDestination,
  type PeerCredentials,
  type ReadonlyOptions,
  SETTABLE_OPTION_NAMES,
  type SettableOptionName,
  type SettableOptions,
  type SocketOptions,
} from './options/index.js'
export { TCP_INFO_FIELDS, type TcpCongestionState, type TcpInfo, type TcpState } from './options/tcp-info.js'
export * as constants from './options/constants.js'
