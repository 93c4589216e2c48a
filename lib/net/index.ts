/**
 * `node:net` over the sockets of this library: the same names, types and behaviour. Off Linux it is `node:net` itself.
 */

import { createRequire } from 'node:module'
import nodeNet from 'node:net'

type Net = typeof nodeNet

// A module that is chosen at run time cannot be imported without top-level await, which `require` refuses.
const net: Net =
  process.platform === 'linux' ? (createRequire(import.meta.url)('./linux.js') as { net: Net }).net : nodeNet

export default net
// What `require` returns.
export { net as 'module.exports' }

export const {
  BlockList,
  Server,
  Socket,
  SocketAddress,
  Stream,
  connect,
  createConnection,
  createServer,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  isIPv4,
  isIPv6,
  setDefaultAutoSelectFamily,
  setDefaultAutoSelectFamilyAttemptTimeout,
} = net as Net & { readonly Stream: Net['Socket'] }
