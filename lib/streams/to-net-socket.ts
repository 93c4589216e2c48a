import { closeSync } from 'node:fs'
import { Socket as NodeSocket, type SocketConstructorOpts } from 'node:net'

import { Connection } from '../connection/connection.js'
import { SocketClosedError, invalidArgType, invalidState } from '../errors.js'
import type { ReleasedSocket } from '../model/closable-source.js'
import { Socket } from '../model/socket.js'
import { HANDLE } from '../net/fields.js'
import { SocketHandle } from '../net/handle.js'
import { setProxyOfNative } from '../net/proxied.js'
import type { SocketState } from '../native.js'
import { Socket as NetSocket } from '../net/socket.js'
import { checkObject } from '../validate.js'

/** How {@link toNetSocket} makes its socket. */
export interface ToNetSocketOptions {
  /** Whether our half stays open when the peer has ended its own. **Default:** false; that of a stream. */
  readonly allowHalfOpen?: boolean
}

/**
 * Node's own net.Socket over the same descriptor: TLS runs over it at its native speed.
 *
 * The descriptor passes to it: the socket is closed from here on, of a connection's handlers only `close` is still
 * called, and a stream of `m-socket/net` emits 'close'. What has been received and not read is read first, and what is
 * queued is sent first, and then the end, if it waits for the queue. A socket of Node's own is returned as it is.
 *
 * @throws TypeError for anything else; SocketClosedError; SocketError EEXIST for a socket in a multiplexer, or why the
 * connection broke, and it is then closed; Error ERR_INVALID_STATE for one that is connecting, that is being read (a
 * pending read, a loop, listeners of 'data' or 'readable') or adapted already, and for a stream with writes that wait.
 */
export function toNetSocket<D>(
  source: Socket | Connection<D> | NetSocket | NodeSocket,
  options: ToNetSocketOptions = {},
): NodeSocket {
  checkObject(options, 'options')
  if (source instanceof Connection) return overConnection(source, options)
  if (source instanceof Socket) return overFree(source, options)
  if (isOurs(source)) return overStream(source, options)
  if (source instanceof NodeSocket) return source
  throw invalidArgType('source', 'a Socket, a Connection or a net.Socket', source)
}

/** Node's own are instances of our class, too. */
function isOurs(source: object): source is NetSocket {
  return Object.prototype.isPrototypeOf.call(NetSocket.prototype, source)
}

/** A stream would wait in vain for a socket that is taken away from it. */
function overFree(source: Socket, options: SocketConstructorOpts): NodeSocket {
  if (source.poller?.registrations.of(source)?.watcher instanceof SocketHandle) {
    throw invalidState('toNetSocket: the socket has a stream already')
  }
  return overSocket(source, options)
}

function overSocket(source: Socket, options: SocketConstructorOpts): NodeSocket {
  checkOpen(source)
  const { writeEnded } = source
  const noDelay = hasNoDelay(source)
  return begin(source.giveUp(), { ...options, noDelay }, writeEnded)
}

function overConnection<D>(connection: Connection<D>, options: SocketConstructorOpts): NodeSocket {
  if (!connection.socket) throw new SocketClosedError('toNetSocket: the connection is not open')
  checkOpen(connection.socket)
  let own: NodeSocket | undefined
  const adapter = {
    end: () => void own?.end(),
    failure: () => own?.errored ?? undefined,
    onClose: () => void own?.destroy(),
  }
  const socket = connection.handOver(adapter, 'toNetSocket')
  socket.keepAddresses()
  try {
    own = overSocket(socket, options)
  } catch (error) {
    socket.close()
    connection.onSocketClosed(error as Error)
    throw error
  }
  if (connection.proxy) setProxyOfNative(own, connection.proxy)
  return own.once('close', () => connection.onSocketClosed())
}

function overStream(source: NetSocket, { allowHalfOpen = source.allowHalfOpen }: ToNetSocketOptions): NodeSocket {
  const handle = source[HANDLE]
  if (source.connecting) throw isConnecting()
  if (!handle?.socket || source.destroyed) throw new SocketClosedError('toNetSocket: the socket is not connected')
  if (source.listenerCount('data') + source.listenerCount('readable') > 0 || handle.userBuffer) {
    throw invalidState('toNetSocket: the socket is being read already')
  }
  if (source.writableLength > 0) throw invalidState('toNetSocket: the socket has writes that wait')
  if (source.readableEncoding) throw invalidState('toNetSocket: the socket has an encoding')
  checkOpen(handle.socket)
  const { writeEnded } = handle.socket
  const noDelay = hasNoDelay(handle.socket)
  const released = handle.giveUp()
  const read = takeBuffered(source)
  const unread = Buffer.concat([...read, released.unread])
  const own = begin({ ...released, unread }, { allowHalfOpen, noDelay }, writeEnded)
  const { server, _server } = source
  // It counts as the one connection of its server that it has been.
  source._server = null
  Object.assign(own, { server, _server })
  if (source.proxy) setProxyOfNative(own, source.proxy)
  if (!handle.hasRef) own.unref()
  source.destroy()
  return own
}

function checkOpen(socket: Socket): void {
  if (socket.handle < 0) throw new SocketClosedError('toNetSocket: the socket is closed')
  if (stateOf(socket) === 'connecting') throw isConnecting()
}

/** The first look only finds the outcome of connect(2). */
function stateOf(socket: Socket): SocketState {
  const known = socket.state
  return known === 'connecting' ? socket.state : known
}

function isConnecting(): Error {
  return invalidState('toNetSocket: the socket is connecting: wait until it is connected')
}

/** Unix sockets have no such option. */
function hasNoDelay(socket: Socket): boolean {
  return 'port' in (socket.localAddress ?? {}) && socket.getOption('noDelay')
}

/** What a stream has received and not delivered. It reads no more. */
function takeBuffered(source: NetSocket): Buffer[] {
  const chunks: Buffer[] = []
  for (let chunk; source.readableLength > 0 && (chunk = source.read() as Buffer | null) !== null;) chunks.push(chunk)
  return chunks
}

/** `isEnded`: our half ends, behind the queue. */
function begin(
  { fd, unread, queued }: ReleasedSocket,
  options: SocketConstructorOpts & { readonly noDelay: boolean },
  isEnded: boolean,
): NodeSocket {
  const own = nodeSocket({ ...options, fd, readable: true, writable: true, manualStart: true } as SocketConstructorOpts)
  if (unread.length > 0) own.unshift(unread)
  if (queued.length > 0) own.write(queued)
  if (isEnded) own.end()
  // Nothing is read before what was unread.
  own.read(0)
  return own
}

function nodeSocket(options: SocketConstructorOpts): NodeSocket {
  try {
    return new NodeSocket(options)
  } catch (error) {
    closeSync(options.fd!)
    throw error
  }
}
