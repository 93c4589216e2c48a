import type { DuplexOptions } from 'node:stream'

import { Connection } from '../connection/connection.js'
import { SocketClosedError, invalidArgType, invalidArgValue } from '../errors.js'
import { Socket } from '../model/socket.js'
import { SocketHandle } from '../net/handle.js'
import { setProxy } from '../net/proxied.js'
import { Socket as NetSocket, type SocketConstructorOptions } from '../net/socket.js'
import type { Socket as NetSocketType } from '../net/types.js'
import { boolean, checkObject, integer } from '../validate.js'

/** How {@link toDuplex} makes its stream. */
export interface ToDuplexOptions extends Pick<
  DuplexOptions,
  'allowHalfOpen' | 'highWaterMark' | 'readableHighWaterMark' | 'writableHighWaterMark'
> {
  /**
   * Bytes that may wait to be sent. A write that leaves more destroys the stream with a {@link SocketQueueError}.
   * **Default:** no limit, as in node:net.
   */
  readonly sendQueueLimit?: number
  /** TCP_NODELAY. **Default:** true. */
  readonly noDelay?: boolean
}

/** A `net.Socket` whose socket beneath is there from the start. */
export type SocketStream = NetSocketType & {
  /** The socket beneath. */
  readonly socket: Socket
}

/**
 * The stream of `m-socket/net` over a socket or a connection, connected or connecting: for node:tls, node:http and
 * everything else that takes a net.Socket.
 *
 * A socket must be in no multiplexer. Only the stream reads and writes from here on; of a connection's handlers, only
 * `close` is still called. Its events come in the asynchronous context of this call.
 *
 * @throws TypeError for anything else; SocketError EEXIST for a socket in a multiplexer; SocketClosedError; Error
 * ERR_INVALID_STATE for a connection that is being read, or that has been adapted already. After SocketError ENOSPC or
 * ENOMEM of epoll_ctl(2) a connection is closed, and a socket is as it was.
 */
export function toDuplex<D>(source: Socket | Connection<D>, options: ToDuplexOptions = {}): SocketStream {
  checkObject(options, 'options')
  checkLengths(options)
  if ('whenFull' in options) {
    throw invalidArgValue('options.whenFull', options.whenFull, 'has been replaced by options.sendQueueLimit')
  }
  for (const name of ['allowHalfOpen', 'noDelay'] as const) {
    if (options[name] !== undefined) boolean(options[name], `options.${name}`)
  }
  if (source instanceof Connection) return overConnection(source, options) as unknown as SocketStream
  if (!(source instanceof Socket)) throw invalidArgType('source', 'a Socket or a Connection', source)
  return streamOver(source, options) as unknown as SocketStream
}

const NOTHING = new Uint8Array(0)

const LENGTHS = ['sendQueueLimit', 'highWaterMark', 'readableHighWaterMark', 'writableHighWaterMark'] as const

/** Before anything is taken over: a wrong option harms only its call. */
function checkLengths(options: ToDuplexOptions): void {
  for (const name of LENGTHS) {
    const length = options[name]
    if (length !== undefined) integer(length, 0, Number.MAX_SAFE_INTEGER, `options.${name}`)
  }
}

function streamOver(socket: Socket, options: ToDuplexOptions): NetSocket {
  if (socket.handle < 0) throw new SocketClosedError('toDuplex: the socket is closed')
  const handle = SocketHandle.over(socket)
  // An end that has been received is received once more, by the stream.
  socket.unread(NOTHING)
  handle.watch()
  const { noDelay = true, allowHalfOpen, sendQueueLimit } = options
  const { highWaterMark, readableHighWaterMark, writableHighWaterMark } = options
  const lengths = { highWaterMark, readableHighWaterMark, writableHighWaterMark, sendQueueLimit }
  return new NetSocket({ ...lengths, allowHalfOpen, handle } as SocketConstructorOptions).setNoDelay(noDelay)
}

function overConnection<D>(connection: Connection<D>, options: ToDuplexOptions): NetSocket {
  let stream: NetSocket | undefined
  const adapter = {
    isStream: true as const,
    end: () => void stream?.end(),
    failure: () => stream?.errored ?? undefined,
    onClose: () => void stream?.destroy(),
  }
  const socket = connection.handOver(adapter, 'toDuplex')
  try {
    stream = streamOver(socket, options)
  } catch (error) {
    // Neither the connection nor a stream watches the socket.
    socket.keepAddresses()
    socket.close()
    connection.onSocketClosed(error as Error)
    throw error
  }
  if (connection.proxy) setProxy(stream, connection.proxy)
  stream.onClosing(() => socket.keepAddresses())
  return stream.once('close', () => connection.onSocketClosed())
}
