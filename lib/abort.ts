/** A callback for the abort of a signal. */
type OnAbort = () => void

/**
 * The callbacks of each signal. They share one listener: beyond ten, Node warns of a leak
 * (`events.defaultMaxListeners`), and one signal for all connections of a server is no leak.
 */
const callbacks = new WeakMap<AbortSignal, Set<OnAbort>>()

/** The listener, with the signal as `this`: it keeps nothing alive. */
function onAbort(this: AbortSignal): void {
  for (const callback of callbacks.get(this) ?? []) callback()
  callbacks.delete(this)
}

/** Calls `callback` once `signal` is aborted, unless {@link removeAbortCallback} came before. */
export function addAbortCallback(signal: AbortSignal, callback: OnAbort): void {
  const existing = callbacks.get(signal)
  if (existing) {
    existing.add(callback)
    return
  }
  signal.addEventListener('abort', onAbort, { once: true })
  callbacks.set(signal, new Set([callback]))
}

/** The last callback that goes takes the listener with it: a signal with listeners is kept alive by Node. */
export function removeAbortCallback(signal: AbortSignal, callback: OnAbort): void {
  const existing = callbacks.get(signal)
  if (!existing?.delete(callback) || existing.size > 0) return
  callbacks.delete(signal)
  signal.removeEventListener('abort', onAbort)
}
