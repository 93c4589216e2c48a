import { clearTimeout, setTimeoutInContext } from '../loop/timers.js'

/**
 * The time without traffic. It keeps nothing alive, and runs on while it is stopped: node:http stops and starts that of a
 * connection at each request, and a timer costs more to make than to refresh.
 */
export class IdleTimer {
  readonly duration: number
  readonly #timer: NodeJS.Timeout
  #isOn = true

  constructor(duration: number, onTimeout: () => void) {
    this.duration = duration
    const onTime = (): void => {
      if (this.#isOn) onTimeout()
    }
    this.#timer = setTimeoutInContext(onTime, duration).unref()
  }

  start(): void {
    this.#isOn = true
    this.#timer.refresh()
  }

  stop(): void {
    this.#isOn = false
  }

  /** The time begins again. */
  refresh(): void {
    if (this.#isOn) this.#timer.refresh()
  }

  /** It is not used any more. */
  clear(): void {
    clearTimeout(this.#timer)
  }
}
