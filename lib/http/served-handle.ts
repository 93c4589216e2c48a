import type { AddressInfo, Server } from 'node:net'

import type { ServerFields } from '../net/server-state.js'

/** A server, with the fields of node:net that its methods work on. */
export interface ServedServer extends Server, Omit<ServerFields, keyof Server> {
  _handle: ServedHandle | null
}

/**
 * What a server of Node has as its listening handle: the methods of net.Server work on it, so that `close()`,
 * `address()`, `listening`, `ref()` and `unref()` are Node's own.
 */
export class ServedHandle {
  readonly #listening: Server
  /** Absent on a Unix socket: `server.address()` then returns the path. */
  declare readonly getsockname?: (out: object) => number

  constructor(listening: Server) {
    this.#listening = listening
    if (typeof listening.address() === 'string') return
    this.getsockname = (out) => {
      Object.assign(out, listening.address() as AddressInfo)
      return 0
    }
  }

  /** The descriptor, -1 once closed. */
  get fd(): number {
    return (this.#listening as unknown as { _handle?: { fd: number } | null })._handle?.fd ?? -1
  }

  close(): void {
    this.#listening.close()
  }

  ref(): void {
    this.#listening.ref()
  }

  unref(): void {
    this.#listening.unref()
  }
}
