// The values of asm-generic/socket.h, linux/in.h, linux/in6.h, linux/tcp.h and linux/mptcp.h, which x86-64 and arm64 share.

/** socket(7): the level of the options that every socket has. */
export const SOL_SOCKET = 1
/** ip(7): the level of the IPv4 options. */
export const IPPROTO_IP = 0
/** tcp(7): the level of the TCP options. */
export const IPPROTO_TCP = 6
/** ipv6(7): the level of the IPv6 options. */
export const IPPROTO_IPV6 = 41
/** linux/in.h: the protocol of a socket of Multipath TCP. */
export const IPPROTO_MPTCP = 262
/** linux/socket.h: the level of the options of Multipath TCP. */
export const SOL_MPTCP = 284

/** socket(7): bind to an address that is still in TIME_WAIT. */
export const SO_REUSEADDR = 2
/** socket(7): the type of the socket, SOCK_STREAM for all of ours. Read-only. */
export const SO_TYPE = 3
/** socket(7): the pending error, which reading clears. Read-only. */
export const SO_ERROR = 4
/** socket(7): the size of the send buffer. */
export const SO_SNDBUF = 7
/** socket(7): the size of the receive buffer. */
export const SO_RCVBUF = 8
/** socket(7): send keep-alive probes. */
export const SO_KEEPALIVE = 9
/** socket(7): leave urgent data in the stream. */
export const SO_OOBINLINE = 10
/** socket(7): the priority of what is sent. */
export const SO_PRIORITY = 12
/** socket(7): `struct linger`, what close(2) does with unsent data. */
export const SO_LINGER = 13
/** socket(7): several listeners of one address share its connections. */
export const SO_REUSEPORT = 15
/** unix(7): `struct ucred` of the peer. Read-only. */
export const SO_PEERCRED = 17
/** socket(7): how many bytes make the socket readable. */
export const SO_RCVLOWAT = 18
/** socket(7): bind to a network device by its name. */
export const SO_BINDTODEVICE = 25
/** socket(7): whether the socket listens. Read-only. */
export const SO_ACCEPTCONN = 30
/** socket(7): the send buffer beyond net.core.wmem_max, with CAP_NET_ADMIN. */
export const SO_SNDBUFFORCE = 32
/** socket(7): the receive buffer beyond net.core.rmem_max, with CAP_NET_ADMIN. */
export const SO_RCVBUFFORCE = 33
/** socket(7): the mark of each packet, for routing and filters. */
export const SO_MARK = 36
/** socket(7): the protocol, such as IPPROTO_TCP. Read-only. */
export const SO_PROTOCOL = 38
/** socket(7): the address family, such as AF_INET. Read-only. */
export const SO_DOMAIN = 39
/** socket(7): microseconds of busy polling. */
export const SO_BUSY_POLL = 46
/** tc-fq(8): the highest sending rate in bytes a second, which the kernel paces to. */
export const SO_MAX_PACING_RATE = 47
/** socket(7): the CPU that handles the socket's packets. */
export const SO_INCOMING_CPU = 49
/** socket(7): the NAPI id, the receive queue, of the last packet. Read-only. */
export const SO_INCOMING_NAPI_ID = 56
/** asm-generic/socket.h: a 64-bit number that no other socket has. Read-only. */
export const SO_COOKIE = 57

/** tcp(7): send at once, without Nagle's algorithm. */
export const TCP_NODELAY = 1
/** tcp(7): the largest segment. */
export const TCP_MAXSEG = 2
/** tcp(7): hold back segments that are not full. */
export const TCP_CORK = 3
/** tcp(7): seconds of silence before the first keep-alive probe. */
export const TCP_KEEPIDLE = 4
/** tcp(7): seconds between keep-alive probes. */
export const TCP_KEEPINTVL = 5
/** tcp(7): how many unanswered probes end the connection. */
export const TCP_KEEPCNT = 6
/** tcp(7): how often SYN is sent again. */
export const TCP_SYNCNT = 7
/** tcp(7): seconds that an orphan stays in FIN_WAIT2. */
export const TCP_LINGER2 = 8
/** tcp(7): seconds that a listener waits for data before it reports a connection. */
export const TCP_DEFER_ACCEPT = 9
/** tcp(7): the largest window to advertise. */
export const TCP_WINDOW_CLAMP = 10
/** tcp(7): `struct tcp_info`. Read-only. */
export const TCP_INFO = 11
/** tcp(7): acknowledge at once; not permanent. */
export const TCP_QUICKACK = 12
/** tcp(7): the name of the congestion control algorithm. */
export const TCP_CONGESTION = 13
/** tcp(7): milliseconds that sent data may stay unacknowledged. */
export const TCP_USER_TIMEOUT = 18
/** tcp(7), RFC 7413: how many Fast Open requests a listener queues. */
export const TCP_FASTOPEN = 23
/** linux/tcp.h: how much unsent data the socket may hold and still be writable. */
export const TCP_NOTSENT_LOWAT = 25
/** linux/tcp.h: keep the SYN of each accepted connection, for TCP_SAVED_SYN. */
export const TCP_SAVE_SYN = 27
/** linux/tcp.h: the kept SYN, from its IP header on. Read-only. */
export const TCP_SAVED_SYN = 28
/** tcp(7): connect(2) returns at once and the first data goes out in the SYN. */
export const TCP_FASTOPEN_CONNECT = 30

/** linux/mptcp.h: what the kernel knows of a connection of Multipath TCP. Read-only. */
export const MPTCP_INFO = 1

/** ip(7): the type of service of each packet. */
export const IP_TOS = 1
/** ip(7): the time to live of each packet. */
export const IP_TTL = 2
/** ip(7): the path MTU that is known for the connection. Read-only. */
export const IP_MTU = 14
/** ip(7): bind to an address that does not exist, or not yet. */
export const IP_FREEBIND = 15
/** ip(7): bind to an address of another host, for a transparent proxy. */
export const IP_TRANSPARENT = 19
/** ip(7): leave the port open until connect(2) when binding to port 0. */
export const IP_BIND_ADDRESS_NO_PORT = 24
/** linux/netfilter_ipv4.h: the destination before netfilter redirected the connection. Read-only. */
export const SO_ORIGINAL_DST = 80

/** ipv6(7): the hop limit of each packet. */
export const IPV6_UNICAST_HOPS = 16
/** ipv6(7): the path MTU that is known for the connection. Read-only. */
export const IPV6_MTU = 24
/** ipv6(7): no IPv4 on this socket. */
export const IPV6_V6ONLY = 26
/** RFC 3542: the traffic class of each packet. */
export const IPV6_TCLASS = 67
/** linux/in6.h: {@link IP_TRANSPARENT} for IPv6. */
export const IPV6_TRANSPARENT = 75
/** linux/in6.h: {@link IP_FREEBIND} for IPv6. */
export const IPV6_FREEBIND = 78
/** linux/netfilter_ipv6/ip6_tables.h: {@link SO_ORIGINAL_DST} for IPv6. Read-only. */
export const IP6T_SO_ORIGINAL_DST = 80
