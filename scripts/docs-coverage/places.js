// The page that has to explain each thing that the sources offer.

/** By page, the types whose members it lists. */
const TYPES = {
  'Listener.md':
    'Listener ListenerOptions CommonListenerOptions BacklogOption DescriptorListenerOptions InetListenerOptions ' +
    'UnixListenerOptions UnixFileOptions',
  'Socket.md':
    'Socket SocketConnectOptions InetSocketOptions UnixSocketOptions SendFileOptions OpenFile InetAddress UnixAddress Source',
  'Multiplexer.md': 'Multiplexer ReadyEvent Descriptor',
  'Server.md':
    'Server ServerOptions ListenOptions InetListenOptions UnixListenOptions DescriptorListenOptions ListenerListenOptions ' +
    'HostOption PathOption CloseOptions ConnectionOptions',
  'connect.md': 'ConnectOptions ClientOptions InetConnectOptions UnixConnectOptions ConnectAttemptError InitialData',
  'Connection.md': 'Connection ReadOptions ReadUntilOptions LinesOptions',
  'Handlers.md': 'Handlers',
  'options.md':
    'SettableOptions ReadonlyOptions SocketOptions KeepAlive OriginalDestination PeerCredentials TcpInfo MultipathOption ' +
    'WithoutMultipath',
  'proxy-protocol.md': 'ProxyHeader ParsedProxyHeader ProxyProtocolOptions ProxySsl ProxyTlv',
  'relay.md': 'RelayOptions RelayTotals',
  'travel.md': 'AdoptOptions DetachedSocket',
  'descriptors.md': 'ReceivedDescriptors',
  'streams.md': 'ToDuplexOptions SocketStream ToNetSocketOptions WebStreams SocketInfo',
  'http.md': 'HttpAgent HttpsAgent HttpAgentOptions HttpsAgentOptions ServeOptions UndiciConnectorOptions UndiciTarget',
  'systemd.md': 'ListenFdsError RefusedDescriptor',
  'observability.md': 'ServerStats MultiplexerStats',
  'errors.md': 'SocketError SocketErrorDetails SocketClosedError SocketQueueError',
  'net.md':
    'net.ListenOptions net.NetConnectOpts net.IpcNetConnectOpts net.TcpNetConnectOpts net.SocketConnectOpts ' +
    'net.IpcSocketConnectOpts net.TcpSocketConnectOpts net.SocketConstructorOpts net.Socket net.Server net.Stream',
}

/** Undefined for a type that has no place yet. */
export function pageOfType(name) {
  return Object.keys(TYPES).find((page) => TYPES[page].split(' ').includes(name))
}

/** The page that lists all of a kind; for exports any page will do. */
export const PAGE_OF_KIND = {
  event: 'net.md',
  channel: 'observability.md',
  code: 'errors.md',
  variable: 'observability.md',
}
