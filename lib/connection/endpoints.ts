import { type InetAddress, familyNameOf, hostOf, portOf } from '../model/address.js'
import type { Socket } from '../model/socket.js'

/** The two ends of a connection: their addresses, and the bytes that went between them. */
export abstract class Endpoints {
  /** The socket beneath, with its options, `info()` and the like; undefined until connected. The connection closes it. */
  abstract readonly socket: Socket | undefined

  /** Bytes received. */
  get bytesRead(): number {
    return this.socket?.bytesReceived ?? 0
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.socket?.bytesSent ?? 0
  }

  /** Our numeric address, or our path, to the last handler: getsockname(2). Undefined until connected. */
  get localAddress(): string | undefined {
    return hostOf(this.socket?.localAddress)
  }

  /** The family of our address; undefined on a Unix socket. */
  get localFamily(): InetAddress['family'] | undefined {
    return familyNameOf(this.socket?.localAddress)
  }

  /** Our port; undefined on a Unix socket. */
  get localPort(): number | undefined {
    return portOf(this.socket?.localAddress)
  }

  /** The peer's numeric address, or its path, to the last handler: getpeername(2). Undefined until connected. */
  get remoteAddress(): string | undefined {
    return hostOf(this.socket?.remoteAddress)
  }

  /** The family of the peer's address; undefined on a Unix socket. */
  get remoteFamily(): InetAddress['family'] | undefined {
    return familyNameOf(this.socket?.remoteAddress)
  }

  /** The peer's port; undefined on a Unix socket. */
  get remotePort(): number | undefined {
    return portOf(this.socket?.remoteAddress)
  }
}
