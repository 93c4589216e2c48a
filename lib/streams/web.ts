import { ReadableStream, WritableStream } from 'node:stream/web'

import { Connection } from '../connection/connection.js'
import { type Data, bytesOf } from '../connection/data.js'
import { SocketClosedError, invalidArgType } from '../errors.js'

/** Bytes of a chunk for a reader that brings no buffer of its own. */
const CHUNK = 65_536

/** The two ends of a connection, as WinterTC's sockets have them. */
export interface SocketInfo {
  /** `'127.0.0.1:80'`, `'[::1]:80'`, or a path. */
  readonly localAddress: string
  /** As `localAddress`, of the peer. */
  readonly remoteAddress: string
}

/** A connection as WinterTC's sockets are. */
export interface WebStreams {
  /** A byte stream: reads into the reader's own buffer (BYOB), or into chunks of up to 65,536 bytes. */
  readonly readable: ReadableStream<Uint8Array>
  /**
   * Takes strings and bytes. A write is done when the connection has taken it. Closing ends our half, aborting
   * terminates the connection.
   */
  readonly writable: WritableStream<Data>
  /** The connection's two ends. */
  readonly opened: Promise<SocketInfo>
  /** Fulfilled when the connection closed without an error, rejected with the reason when it broke. */
  readonly closed: Promise<void>
  /** Ends both halves, behind what has been written: nothing is read any more. Settles as `closed` does. */
  close(): Promise<void>
}

/**
 * Web streams over a connection, in the shape of WinterTC's sockets. The streams alone read and write from here on.
 *
 * @throws TypeError for anything but a Connection; SocketClosedError; Error ERR_INVALID_STATE for a connection that is
 * being read, or that has been adapted already.
 */
export function toWeb<D>(connection: Connection<D>): WebStreams {
  if (!(connection instanceof Connection)) throw invalidArgType('connection', 'a Connection', connection)
  const adapter = new WebAdapter(connection)
  const { localAddress, localPort, remoteAddress, remotePort } = connection
  return {
    readable: adapter.readable(),
    writable: adapter.writable(),
    opened: Promise.resolve({
      localAddress: authority(localAddress, localPort),
      remoteAddress: authority(remoteAddress, remotePort),
    }),
    closed: adapter.closed,
    close: () => adapter.close(),
  }
}

class WebAdapter<D> {
  readonly closed: Promise<void>
  readonly #connection: Connection<D>
  #settleClosed!: (error?: Error) => void
  /** The write that is waiting for room. */
  #waiting: { resolve: () => void; reject: (error: Error) => void } | undefined

  constructor(connection: Connection<D>) {
    connection.adapt(this, 'toWeb')
    this.#connection = connection
    this.closed = new Promise(
      (resolve, reject) => (this.#settleClosed = (error) => (error ? reject(error) : resolve())),
    )
    // A program that does not use `closed` gets the error from the streams.
    this.closed.catch(() => {})
  }

  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      type: 'bytes',
      autoAllocateChunkSize: CHUNK,
      pull: async (controller) => {
        const request = controller.byobRequest!
        const count = await this.#read(request.view as Uint8Array)
        if (count === null) controller.close()
        request.respond(count ?? 0)
      },
      cancel: () => this.#connection.shutdown('read'),
    })
  }

  /** A connection that closed without an error reads as ended. */
  async #read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.#connection.read(into)
    } catch (error) {
      if (error instanceof SocketClosedError) return null
      throw error
    }
  }

  writable(): WritableStream<Data> {
    return new WritableStream({
      write: (chunk) => this.#write(chunk),
      close: () => void this.#connection.end(),
      abort: () => this.#connection.terminate(),
    })
  }

  async #write(chunk: Data): Promise<void> {
    let bytes = bytesOf(chunk)
    while (bytes.byteLength > 0) {
      const taken = this.#connection.write(bytes)
      if (taken < 0) throw new SocketClosedError('write: the connection has ended')
      bytes = bytes.subarray(taken)
      if (bytes.byteLength > 0) await new Promise<void>((resolve, reject) => (this.#waiting = { resolve, reject }))
    }
  }

  onDrain(): void {
    this.#waiting?.resolve()
  }

  onClose(error?: Error): void {
    this.#waiting?.reject(error ?? new SocketClosedError('write: the connection is closed'))
    this.#settleClosed(error)
  }

  close(): Promise<void> {
    this.#connection.shutdown('both')
    return this.closed
  }
}

function authority(address = '', port?: number): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
