/** An AbortSignal of another implementation, as jsdom has one. */
export class ForeignSignal extends EventTarget {
  aborted = false
  reason: unknown = undefined

  abort(reason?: unknown): void {
    this.aborted = true
    this.reason = reason
    this.dispatchEvent(new Event('abort'))
  }

  get signal(): AbortSignal {
    return this as unknown as AbortSignal
  }
}
