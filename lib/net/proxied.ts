import type { Socket as NodeSocket } from 'node:net'

import type { ProxyHeader } from '../proxy-protocol/types.js'
import { type SocketAddressInfo, type SocketBase, toInfo } from './base.js'

/** The stream has the header of a proxy: its addresses are those of the client. */
export function setProxy(stream: SocketBase | NodeSocket, header: ProxyHeader): void {
  const { source, destination } = header
  const known = stream as unknown as Pick<SocketBase, 'proxy' | '_peername' | '_sockname'>
  known.proxy = header
  if (source) known._peername = toInfo(source)
  if (destination) known._sockname = toInfo(destination)
}

/** What a stream of Node's asks for its addresses, as one of node:tls over it does. */
interface NativeHandle {
  getpeername?: (out: SocketAddressInfo) => number
  getsockname?: (out: SocketAddressInfo) => number
}

/** As {@link setProxy}, of a stream of Node's own, which is to be used by others of Node's. */
export function setProxyOfNative(own: NodeSocket, header: ProxyHeader): void {
  setProxy(own, header)
  const { source, destination } = header
  const handle = (own as unknown as { readonly _handle: NativeHandle | null })._handle
  if (!handle) return
  const answer = (address: SocketAddressInfo) => (out: SocketAddressInfo) => {
    Object.assign(out, address)
    return 0
  }
  // A handle of a Unix socket has none of them.
  if (source && handle.getpeername) handle.getpeername = answer(toInfo(source))
  if (destination && handle.getsockname) handle.getsockname = answer(toInfo(destination))
}
