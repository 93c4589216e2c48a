/// <reference types="node" preserve="true" />
/// <reference lib="es2021.promise" preserve="true" />
/// <reference lib="es2022.error" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
import '../loadable.js'

export { Listener } from './model/listener.js'
export type {
  BacklogOption,
  CommonListenerOptions,
  DescriptorListenerOptions,
  InetListenerOptions,
  ListenerOptions,
  UnixListenerOptions,
} from './model/bind.js'
export type { UnixFileOptions } from './model/unix-file.js'
export { Socket } from './model/socket.js'
export type { ReceivedDescriptors } from './model/passing-source.js'
export type { DetachedSocket } from './model/detached-socket.js'
export type { OpenFile, SendFileOptions } from './model/send-file.js'
export type { Mode, SendStatus, ShutdownHow, SocketState } from './native.js'
export type { InetSocketOptions, SocketConnectOptions, UnixSocketOptions } from './model/connect-options.js'
export { Multiplexer } from './model/multiplexer.js'
export type { Descriptor, Event, Interest, ReadyEvent, Target } from './model/event.js'
export type { Source } from './model/source.js'
export type { Address, InetAddress, UnixAddress } from './model/address.js'
export type { MultipathOption, WithoutMultipath } from './model/multipath.js'
export type { Excluding } from './model/excluding.js'
export {
  type DescriptorListenOptions,
  type InetListenOptions,
  type ListenOptions,
  type ListenerListenOptions,
  type ServerOptions,
  type UnixListenOptions,
  listen,
} from './connection/listen.js'
export { Server } from './connection/server.js'
export type { ServerStats } from './observe/server-counters.js'
export type { MultiplexerStats } from './observe/wait-counters.js'
export {
  type ClientOptions,
  type ConnectOptions,
  type InetConnectOptions,
  type UnixConnectOptions,
  connect,
} from './connection/connect.js'
export { type AdoptOptions, adopt } from './connection/adopt.js'
export type { ConnectAttemptError } from './connection/race.js'
export type { CloseOptions, ConnectionOptions, HostOption, InitialData, PathOption } from './connection/options.js'
export { Connection } from './connection/connection.js'
export type { ReadyState } from './connection/endpoints.js'
export type { LinesOptions, ReadOptions, ReadUntilOptions } from './connection/promised-input.js'
export type { Handlers } from './connection/handlers.js'
export type { Data } from './connection/data.js'
export { parseProxyHeader, proxyHeader } from './proxy-protocol/header.js'
export type { ProxyProtocol, ProxyProtocolOptions } from './proxy-protocol/policy.js'
export type { ParsedProxyHeader, ProxyHeader, ProxySsl, ProxyTlv } from './proxy-protocol/types.js'
export { type RelayOptions, type RelayTotals, relay } from './relay/relay.js'
export { type SocketStream, type ToDuplexOptions, toDuplex } from './streams/to-duplex.js'
export { type ToNetSocketOptions, toNetSocket } from './streams/to-net-socket.js'
export { type SocketInfo, type WebStreams, toWeb } from './streams/web.js'
export { HttpAgent, type HttpAgentOptions, HttpsAgent, type HttpsAgentOptions } from './http/agents.js'
export {
  type UndiciCallback,
  type UndiciConnector,
  type UndiciConnectorOptions,
  type UndiciTarget,
  undiciConnector,
} from './http/undici.js'
export { type ServeOptions, serve } from './http/serve.js'
export { type ListenFdsError, type RefusedDescriptor, listenFds } from './systemd/listen-fds.js'
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
