import {
  type ReadableByteStreamController,
  ReadableStream,
  WritableStream,
  type WritableStreamDefaultController,
} from 'node:stream/web'

import { adopt } from '../connection/adopt.js'
import { Connection } from '../connection/connection.js'
import { type Data, bytesOf } from '../connection/data.js'
import { SocketClosedError, invalidArgType } from '../errors.js'
import { Socket } from '../model/socket.js'

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
   * Takes strings and bytes. A write is done when the connection has taken it. Closing ends our half behind all writes;
   * aborting terminates the connection at once, and rejects a write that waits.
   */
  readonly writable: WritableStream<Data>
  /** The connection's two ends. */
  readonly opened: Promise<SocketInfo>
  /** Fulfilled when the connection closed without an error, rejected with the reason when it broke. */
  readonly closed: Promise<void>
  /**
   * Ends both halves, behind what the connection has taken: nothing is read any more, and a write that waits for room is
   * rejected. Settles as `closed` does.
   */
  close(): Promise<void>
}

/**
 * Web streams over a socket or a connection, in the shape of WinterTC's sockets. The streams alone read and write from here
 * on.
 *
 * A socket must be in no multiplexer; {@link adopt} takes it. It may be connecting: `opened` follows then, and is rejected,
 * as `closed` is, when that fails.
 *
 * @throws TypeError for anything else; SocketClosedError; Error ERR_INVALID_STATE for a connection that is being read, or
 * that has been adapted already; of a socket as {@link adopt}.
 */
export function toWeb<D>(source: Socket | Connection<D>): WebStreams {
  if (source instanceof Socket) return overSocket(source)
  if (!(source instanceof Connection)) throw invalidArgType('source', 'a Socket or a Connection', source)
  return new WebAdapter(source).streams(Promise.resolve())
}

function overSocket(socket: Socket): WebStreams {
  let settle!: (failure?: Error) => void
  const connected = new Promise<void>((resolve, reject) => {
    settle = (failure) => (failure ? reject(failure) : resolve())
  })
  const handlers = { open: () => settle(), connectError: (_connection: unknown, failure: Error) => settle(failure) }
  return new WebAdapter(adopt(socket, { socket: handlers })).streams(connected)
}

/** @types/node lacks the signal, which every Node of ours has. */
type WritableController = WritableStreamDefaultController & { readonly signal: AbortSignal }

class WebAdapter<D> {
  readonly isStream = true
  readonly closed: Promise<void>
  readonly #connection: Connection<D>
  #settleClosed!: (error?: Error) => void
  /** The write that is waiting for room. */
  #waiting: { resolve: () => void; reject: (error: unknown) => void } | undefined
  #input!: ReadableByteStreamController
  #output!: WritableController
  #cancelled = false

  constructor(connection: Connection<D>) {
    connection.adapt(this, 'toWeb')
    this.#connection = connection
    this.closed = new Promise(
      (resolve, reject) => (this.#settleClosed = (error) => (error ? reject(error) : resolve())),
    )
    // A program that does not use `closed` gets the error from the streams.
    this.closed.catch(() => {})
  }

  /** `connected` is settled once the connection is open, or could not be opened. */
  streams(connected: Promise<void>): WebStreams {
    const opened = connected.then(() => this.#info)
    opened.catch(() => {})
    return {
      readable: this.readable(),
      writable: this.writable(),
      opened,
      closed: this.closed,
      close: () => this.close(),
    }
  }

  get #info(): SocketInfo {
    const { localAddress, localPort, remoteAddress, remotePort } = this.#connection
    return {
      localAddress: authority(localAddress, localPort),
      remoteAddress: authority(remoteAddress, remotePort),
    }
  }

  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      type: 'bytes',
      autoAllocateChunkSize: CHUNK,
      start: (controller) => void (this.#input = controller),
      pull: async (controller) => {
        const request = controller.byobRequest!
        const count = await this.#read(request.view as Uint8Array)
        if (this.#cancelled) return
        if (count === null) controller.close()
        request.respond(count ?? 0)
      },
      cancel: () => this.#cancel(),
    })
  }

  /** A connection that closed without an error reads as ended. */
  async #read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.#connection.readForStream(into)
    } catch (error) {
      if (error instanceof SocketClosedError) return null
      throw error
    }
  }

  /** Ends a read that is pending. */
  #cancel(): void {
    this.#cancelled = true
    this.#connection.shutdown('read')
  }

  writable(): WritableStream<Data> {
    return new WritableStream({
      start: (controller) => this.#start(controller as WritableController),
      write: (chunk) => this.#write(chunk),
      close: () => void this.#connection.end(),
      abort: () => this.#connection.terminate(),
    })
  }

  /** `abort` of a sink waits for the write that is in progress, the signal does not: the Streams Standard, 5.4. */
  #start(controller: WritableController): void {
    this.#output = controller
    const { signal } = controller
    signal.addEventListener('abort', () => {
      this.#waiting?.reject(signal.reason)
      this.#connection.terminate()
    })
  }

  async #write(chunk: Data): Promise<void> {
    let bytes = bytesOf(chunk)
    while (bytes.byteLength > 0) {
      const taken = this.#connection.write(bytes)
      if (taken < 0) throw this.#abortReason() ?? new SocketClosedError('write: the connection has ended')
      bytes = bytes.subarray(taken)
      if (bytes.byteLength > 0) await new Promise<void>((resolve, reject) => (this.#waiting = { resolve, reject }))
    }
  }

  #abortReason(): unknown {
    const { aborted, reason } = this.#output.signal
    return aborted ? reason : undefined
  }

  onDrain(): void {
    this.#waiting?.resolve()
  }

  onClose(error?: Error): void {
    this.#rejectWrite(error)
    if (error) {
      this.#input.error(error)
      this.#output.error(error)
    }
    this.#settleClosed(error)
  }

  #rejectWrite(error: Error = new SocketClosedError('write: the connection is closed')): void {
    this.#waiting?.reject(error)
  }

  close(): Promise<void> {
    this.#rejectWrite()
    this.#connection.shutdown('both')
    return this.closed
  }
}

function authority(address = '', port?: number): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
