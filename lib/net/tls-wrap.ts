// node:tls takes a stream without a handle of Node's for one that is still connecting, if it is a net.Socket: _init in
// lib/internal/tls/wrap.js. It would wait for a 'connect' that has been. So it finds a handle there, and nowhere else:
// its constructor, which looks first, would hand it to C++.

/** Whether a handle was asked for; then, whether a stream was paused since. The stream itself would be kept in memory. */
let isAsked = false
let isPaused = false

/** Node 20 has the module by another name; a subclass may have another name. */
const INIT = /\._init \(node:(_tls_wrap|internal\/tls\/wrap):/

/** The frames down to the caller of the getter. */
const FRAMES = 4

/** `_handle` is read. True if node:tls asks whether the stream is connected, which it has wrapped just before. */
export function isAskedByTls(): boolean {
  const isWrapped = isPaused && INIT.test(stack())
  isPaused = false
  isAsked = !isWrapped
  return isWrapped
}

/** A stream is paused: the first thing that happens to one that node:tls wraps. */
export function notePause(): void {
  isPaused = isAsked
  isAsked = false
}

function stack(): string {
  const limit = Error.stackTraceLimit
  // It may be frozen.
  Reflect.set(Error, 'stackTraceLimit', FRAMES)
  const text = String(new Error().stack)
  Reflect.set(Error, 'stackTraceLimit', limit)
  return text
}
