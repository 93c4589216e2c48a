import { clearImmediate, clearTimeout, setImmediate, setTimeout } from './timers.js'

/** The timer or immediate of Node's loop that answers a wait when no edge comes. */
export class WakeTimer {
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  readonly #onWake: () => void

  constructor(onWake: () => void) {
    this.#onWake = onWake
  }

  /** Whether an immediate is set, which calls back in the next turn of the loop. */
  get isImmediate(): boolean {
    return this.#immediate !== undefined
  }

  /** Calls back after the timers and other handles of the loop have had a turn. */
  setImmediate(referenced: boolean): void {
    this.#immediate = setImmediate(this.#onWake)
    if (!referenced) this.#immediate.unref()
  }

  /** Calls back after `milliseconds`, rounded up. */
  setTimeout(milliseconds: number, referenced: boolean): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onWake, Math.max(0, Math.ceil(milliseconds)))
    if (!referenced) this.#timer.unref()
  }

  /** Whether what is set keeps the process alive. */
  setReferenced(referenced: boolean): void {
    for (const timer of [this.#timer, this.#immediate]) {
      if (referenced) timer?.ref()
      else timer?.unref()
    }
  }

  clearTimeout(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  clear(): void {
    if (this.#timer !== undefined) this.clearTimeout()
    if (this.#immediate === undefined) return
    clearImmediate(this.#immediate)
    this.#immediate = undefined
  }
}
