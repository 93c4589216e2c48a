/** When a connection that is silent gets probed, and when it is given up. */
export interface KeepAlive {
  /**
   * Milliseconds of silence before the first probe, rounded up to seconds. Default: net.ipv4.tcp_keepalive_time, 2
   * hours. `TCP_KEEPIDLE`
   */
  idle?: number
  /**
   * Milliseconds between probes, rounded up to seconds. Default: net.ipv4.tcp_keepalive_intvl, 75 s. `TCP_KEEPINTVL`
   */
  interval?: number
  /**
   * How many unanswered probes end the connection with ETIMEDOUT. Default: net.ipv4.tcp_keepalive_probes, 9.
   * `TCP_KEEPCNT`
   */
  count?: number
}

/** The process at the other end of a Unix socket, when it connected or listened. */
export interface PeerCredentials {
  /** The process; 0 if it cannot be named in our PID namespace. */
  readonly pid: number
  /** The effective user. */
  readonly uid: number
  /** The effective group. */
  readonly gid: number
}

/** The address that a redirected connection had wanted to reach. */
export interface OriginalDestination {
  /** The numeric host. */
  readonly address: string
  /** The family of the address. */
  readonly family: 'IPv4' | 'IPv6'
  /** The port. */
  readonly port: number
}

/**
 * The options that can be set, in the kernel's order: the socket's, IP's, TCP's.
 *
 * Times are milliseconds unless a doc says otherwise. An accepted TCP connection inherits what its listener has, but
 * for priority, incomingCpu, quickAck, deferAccept and fastOpen; one of a Unix socket inherits nothing. On a Unix
 * socket the options of IP and TCP fail with ENOTSUP, as Node calls EOPNOTSUPP.
 */
export interface SettableOptions {
  /**
   * Bind to an address that earlier connections still have in TIME_WAIT. Before bind. Default: true for a listener of
   * TCP, else false. `SO_REUSEADDR`
   */
  reuseAddress: boolean
  /** Several listeners share the connections of one address. Before bind. Default: false. `SO_REUSEPORT` */
  reusePort: boolean
  /**
   * Bytes for data to be sent. Default: net.ipv4.tcp_wmem, growing by itself until it is set; at most
   * net.core.wmem_max. The kernel doubles what is set, for its own bookkeeping, and getOption returns the double.
   * `SO_SNDBUF`
   */
  sendBufferSize: number
  /**
   * Bytes for received data. Default: net.ipv4.tcp_rmem, growing by itself until it is set; at most
   * net.core.rmem_max. The kernel doubles what is set, for its own bookkeeping, and getOption returns the double.
   * Before listen or connect, so that the window can scale to it. `SO_RCVBUF`
   */
  receiveBufferSize: number
  /**
   * Whether silence is probed: false, true (with the times that are set already), or the times.
   * getOption returns false or all three; true on a Unix socket, where the option has no effect.
   * Default: false. `SO_KEEPALIVE`, `TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`
   */
  keepAlive: boolean | KeepAlive
  /** Urgent data stays in the stream. Default: false. `SO_OOBINLINE` */
  oobInline: boolean
  /**
   * The priority of packets in the device's queue, 0 to 6; others need CAP_NET_ADMIN or CAP_NET_RAW. Default: 0.
   * `SO_PRIORITY`
   */
  priority: number
  /**
   * What close(2) does with unsent data: false sends it in the background; 0 drops it and sends RST. Other
   * milliseconds, rounded up to seconds, block the thread in close(2) until it is sent or the time is over, also with a
   * non-blocking socket, socket(7). `close()` of this library never blocks: it sets such a time back first. Default:
   * false. `SO_LINGER`
   */
  linger: false | number
  /** How many bytes make the socket readable; the kernel takes 0 for 1. Default: 1. `SO_RCVLOWAT` */
  receiveLowWater: number
  /**
   * Use only this network device, at most 15 bytes; '' for any. Changing it needs CAP_NET_RAW. Default: ''.
   * `SO_BINDTODEVICE`
   */
  bindToDevice: string
  /** The mark of packets, for routing and filters. Needs CAP_NET_ADMIN or CAP_NET_RAW. Default: 0. `SO_MARK` */
  mark: number
  /**
   * Microseconds of busy polling; more than it has needs CAP_NET_ADMIN. Default: net.core.busy_read, 0.
   * `SO_BUSY_POLL`
   */
  busyPoll: number
  /** The highest sending rate in bytes a second, which the kernel paces to. Default: Infinity. `SO_MAX_PACING_RATE` */
  maxPacingRate: number
  /**
   * The CPU that handles the socket's packets; on reusePort listeners, the one whose packets it wants. Default: -1.
   * `SO_INCOMING_CPU`
   */
  incomingCpu: number
  /**
   * The type of service, or traffic class, of packets: DSCP × 4; the two lowest bits, ECN, stay the kernel's.
   * Setting it sets `priority` too, net/ipv4/ip_sockglue.c. Default: 0. `IP_TOS`, and on IPv6 also `IPV6_TCLASS`
   */
  typeOfService: number
  /** Bind to an address that does not exist, or not yet. Before bind. Default: false. `IP_FREEBIND`, `IPV6_FREEBIND` */
  freeBind: boolean
  /**
   * Bind to, and accept for, addresses of other hosts. Before bind. Needs CAP_NET_ADMIN or CAP_NET_RAW.
   * Default: false. `IP_TRANSPARENT`, `IPV6_TRANSPARENT`
   */
  transparent: boolean
  /**
   * No IPv4 on an IPv6 socket; on an IPv4 socket bind and connect ignore it. Before bind. Default:
   * net.ipv6.bindv6only, false. `IPV6_V6ONLY`
   */
  ipv6Only: boolean
  /** Send at once, without Nagle's algorithm. Default: false, but true in `listen` and `connect`. `TCP_NODELAY` */
  noDelay: boolean
  /**
   * The largest segment in bytes, 88 to 32767; a connected socket returns the one in use. Before listen or connect.
   * `TCP_MAXSEG`
   */
  maxSegment: number
  /** Hold back segments that are not full, for 200 ms at most, tcp(7). Default: false. `TCP_CORK` */
  cork: boolean
  /** How often SYN is sent again, 1 to 127. Before connect. Default: net.ipv4.tcp_syn_retries, 6. `TCP_SYNCNT` */
  synCount: number
  /**
   * Milliseconds that a listener waits for a connection's first data before it reports it. Rounded up to
   * seconds, and by the kernel to the time of a whole number of SYN-ACKs, which getOption returns: 1, 3, 7, 15 s.
   * Default: 0, not at all. `TCP_DEFER_ACCEPT`
   */
  deferAccept: number
  /** The largest window to advertise, in bytes; the kernel has a minimum. Default: 0, no bound. `TCP_WINDOW_CLAMP` */
  windowClamp: number
  /** Acknowledge at once; the kernel goes back to delaying by itself, tcp(7). Default: true at first. `TCP_QUICKACK` */
  quickAck: boolean
  /**
   * The congestion control algorithm; one that is not in net.ipv4.tcp_allowed_congestion_control needs
   * CAP_NET_ADMIN. `TCP_CONGESTION`
   */
  congestion: string
  /**
   * Milliseconds that sent data may stay unacknowledged before ETIMEDOUT; 0: the system's retries. Default: 0.
   * `TCP_USER_TIMEOUT`
   */
  userTimeout: number
  /**
   * How many Fast Open requests a listener queues; has an effect if net.ipv4.tcp_fastopen has its bit 0x2. Default:
   * 0, off. `TCP_FASTOPEN`
   */
  fastOpen: number
  /**
   * Bytes of unsent data with which a socket is still writable; 0: net.ipv4.tcp_notsent_lowat. Default: 0.
   * `TCP_NOTSENT_LOWAT`
   */
  notSentLowWater: number
  /** The first data travels in the SYN, if there is a cookie. Before connect. Default: false. `TCP_FASTOPEN_CONNECT` */
  fastOpenConnect: boolean
}

/** The options that can only be read. */
export interface ReadonlyOptions {
  /** The process at the other end of a Unix socket; null on other sockets. `SO_PEERCRED` */
  peerCredentials: PeerCredentials | null
  /**
   * Whether the socket is one of Multipath TCP. A connection is known to be one, or to have fallen back to TCP, once it is
   * open. false before Linux 5.16, which does not say. `MPTCP_INFO`
   */
  mptcp: boolean
  /** Where netfilter redirected the connection from; ENOENT if it did not. `SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST` */
  originalDestination: OriginalDestination
}

/** The options that a new listener or socket takes; one that is undefined is left alone. */
export type SocketOptions = { [Name in keyof SettableOptions]?: SettableOptions[Name] | undefined }

/** The name of an option that can be set. */
export type SettableOptionName = keyof SettableOptions

/** The name of an option that can be read: any. */
export type OptionName = SettableOptionName | keyof ReadonlyOptions

/** What getOption returns for an option. */
export type OptionValue<Name extends OptionName> = Name extends 'keepAlive'
  ? boolean | Required<KeepAlive>
  : Name extends SettableOptionName
    ? SettableOptions[Name]
    : Name extends keyof ReadonlyOptions
      ? ReadonlyOptions[Name]
      : never
