import '../loadable.js'

export { Listener, type ListenerOptions } from './listener.js'
export { type SendStatus, type ShutdownHow, Socket, type SocketConnectOptions, type SocketState } from './socket.js'
export { Multiplexer } from './multiplexer.js'
export type { Descriptor, Event, Interest, Mode, Target } from './event.js'
export type { Address, InetAddress, UnixAddress } from './address.js'
export { listen, type ConnectionOptions, type ListenOptions, Server } from './server.js'
export { connect, type ConnectAttemptError, type ConnectOptions } from './connect.js'
export { Connection, type ReadyState } from './connection.js'
export type { Answer, Handlers } from './handlers.js'
export type { Writable } from './chunk.js'
export type { Source } from './source.js'
export { SocketDuplex, type SocketDuplexOptions, toDuplex } from './duplex.js'
export { type SocketInfo, type WebStreams, toWeb } from './web.js'
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
export { TCP_INFO_FIELDS, type TcpCongestionState, type TcpInfo, type TcpState } from './tcp-info.js'
export * as constants from './constants.js'
