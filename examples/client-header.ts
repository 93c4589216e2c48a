// What a proxy says of its client by the PROXY protocol.

import type { Connection, ProxyHeader } from 'm-socket'

/** Without a client, and of one that has gone, the connection is the proxy's own: so is that of a health check. */
export function headerOf(client?: Connection): ProxyHeader {
  const { remoteAddress, remoteFamily, remotePort, localAddress, localFamily, localPort } = client ?? ({} as Connection)
  if (remoteAddress === undefined) return { version: 2, command: 'LOCAL' }
  const source = { address: remoteAddress, family: remoteFamily!, port: remotePort! }
  const destination = { address: localAddress!, family: localFamily!, port: localPort! }
  return { version: 2, command: 'PROXY', source, destination }
}
