// node:tls and node:http2 put a stream without a handle of Node's into an internal JSStreamSocket. Two of their classes
// are changed for that, once in a thread; other streams find them as they were.

import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type nodeTls from 'node:tls'

import type { SocketBase } from './base.js'
import { HANDLE } from './fields.js'

interface WrapPrototype {
  readonly stream: unknown
  doWrite(request: unknown, buffers: unknown): number
}

interface TlsSocket {
  connecting: boolean
}

interface TlsPrototype {
  _init(this: TlsSocket, socket: unknown, wrap: unknown): void
}

interface Wrap extends EventEmitter {
  connecting: boolean
  readonly _handle: object
}

type Settings = Pick<Socket, 'setNoDelay' | 'setKeepAlive' | 'ref' | 'unref'>

interface Wrapped {
  readonly _handle?: { readonly _parentWrap?: object }
}

const EPIPE = -32
/** The modules that Node has loaded: those of node:tls are there before one of them can ask for a handle. */
const { moduleLoadList: loaded = [] } = process as { moduleLoadList?: readonly string[] }
const TLS = 'NativeModule tls'
let prepared = false
/** How many modules of Node have been looked through. */
let seen = 0

/**
 * To be called when a socket is asked for its handle, which both modules do before they wrap it. Takes some 3 ms where
 * node:tls, which node:http2 loads too, is used; once.
 */
export function prepareStreamWrap(): void {
  if (prepared || seen === loaded.length) return
  seen = loaded.length
  if (!loaded.includes(TLS)) return
  prepared = true
  const tls = process.getBuiltinModule('node:tls')
  startConnected(tls.TLSSocket.prototype as unknown as TlsPrototype)
  const wrap = findWrap(tls)
  if (!wrap) return
  refuseLateWrites(wrap)
  followStream(wrap)
}

/**
 * A TLSSocket takes a net.Socket without a handle for one that is still connecting, and waits for a 'connect' that may
 * have been (_init of lib/internal/tls/wrap.js). It answers the peer's end by its own, for which it still has to write.
 */
function startConnected(prototype: TlsPrototype): void {
  const init = prototype._init
  prototype._init = function (socket, wrap) {
    init.call(this, socket, wrap)
    if (!isOurs(socket)) return
    // It may be connected later.
    this.connecting = socket.pending
    socket.allowHalfOpen = true
  }
}

function isOurs(socket: unknown): socket is SocketBase & Settings {
  return typeof socket === 'object' && socket !== null && HANDLE in socket
}

/**
 * A JSStreamSocket that is shut down asserts that nothing is written (doWrite of lib/internal/js_stream_socket.js), and
 * the process ends. An HTTP/2 session writes nevertheless after the end of its peer: to a TCP handle, which answers
 * EPIPE.
 */
function refuseLateWrites(prototype: WrapPrototype): void {
  const doWrite = prototype.doWrite
  prototype.doWrite = function (request, buffers) {
    try {
      return doWrite.call(this, request, buffers)
    } catch (error) {
      if (isOurs(this.stream) && (error as NodeJS.ErrnoException).code === 'ERR_INTERNAL_ASSERTION') return EPIPE
      throw error
    }
  }
}

/** A JSStreamSocket has no addresses and counts as connected: over ours it has those of the stream, and its 'connect'. */
function followStream(prototype: WrapPrototype): void {
  Object.defineProperty(prototype, 'stream', {
    configurable: true,
    set(this: Wrap, stream: unknown) {
      Object.defineProperty(this, 'stream', { value: stream, writable: true, enumerable: true, configurable: true })
      if (isOurs(stream)) follow(this, stream)
    },
  })
}

function follow(wrap: Wrap, stream: SocketBase & Settings): void {
  Object.assign(wrap._handle, handleMethods(stream))
  if (!stream.pending) return
  wrap.connecting = true
  stream.once('connect', () => {
    wrap.connecting = false
    wrap.emit('connect')
  })
}

/** What Node calls of a handle, where it has it. HTTP/2 turns Nagle's algorithm off, without which it would crawl. */
function handleMethods(stream: SocketBase & Settings): object {
  return {
    getpeername(name: object) {
      const { remoteAddress: address, remotePort: port, remoteFamily: family } = stream
      return fill(name, { address, port, family })
    },
    getsockname: (name: object) => fill(name, stream.address()),
    setNoDelay: (enable: boolean) => void stream.setNoDelay(enable),
    setKeepAlive: (enable: boolean, seconds: number) => void stream.setKeepAlive(enable, seconds * 1000),
    ref: () => void stream.ref(),
    unref: () => void stream.unref(),
  }
}

function fill(name: object, info: object): number {
  Object.assign(name, info)
  return 0
}

/** By a TLS socket over a stream of no use. */
function findWrap(tls: typeof nodeTls): WrapPrototype | undefined {
  const socket = new tls.TLSSocket(new Duplex({ read() {} })) as nodeTls.TLSSocket & Wrapped
  const prototype = Object.getPrototypeOf(socket._handle?._parentWrap ?? {}) as Partial<WrapPrototype>
  socket.destroy()
  return typeof prototype.doWrite === 'function' ? (prototype as WrapPrototype) : undefined
}
