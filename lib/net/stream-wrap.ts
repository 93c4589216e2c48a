// node:http2 and node:tls put a stream without a handle of Node's into an internal JSStreamSocket. Once that is shut
// down, it asserts that nothing is written (doWrite of lib/internal/js_stream_socket.js), and the process ends. An
// HTTP/2 session writes nevertheless after the end of its peer: to a TCP handle, which answers EPIPE. So does ours.

import { createRequire } from 'node:module'
import { Duplex } from 'node:stream'
import type nodeTls from 'node:tls'

interface WrapPrototype {
  doWrite(request: unknown, buffers: unknown): number
}

interface Wrapped {
  readonly _handle?: { readonly _parentWrap?: object }
}

const EPIPE = -32
let prepared = false

/** Changes that class once in a thread: when a socket is first asked for its handle, since it takes some 10 ms. */
export function prepareStreamWrap(): void {
  if (prepared) return
  prepared = true
  const prototype = findPrototype()
  if (prototype) refuseLateWrites(prototype)
}

function refuseLateWrites(prototype: WrapPrototype): void {
  const doWrite = prototype.doWrite
  prototype.doWrite = function (request, buffers) {
    try {
      return doWrite.call(this, request, buffers)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_INTERNAL_ASSERTION') return EPIPE
      throw error
    }
  }
}

/** By a TLS socket over a stream of no use; a Node without crypto has none. */
function findPrototype(): WrapPrototype | undefined {
  let tls: typeof nodeTls
  try {
    tls = createRequire(import.meta.url)('node:tls') as typeof nodeTls
  } catch {
    return undefined
  }
  const socket = new tls.TLSSocket(new Duplex({ read() {} })) as nodeTls.TLSSocket & Wrapped
  const prototype = Object.getPrototypeOf(socket._handle?._parentWrap ?? {}) as Partial<WrapPrototype>
  socket.destroy()
  return typeof prototype.doWrite === 'function' ? (prototype as WrapPrototype) : undefined
}
