import { clearTimeout, now, setTimeout } from '../loop/timers.js'
import { INT_MAX } from '../validate.js'

/** Milliseconds between two checks of what may have timed out: timeouts come up to this much late. */
const TICK = 100

/** Something that may time out. */
export interface Timed {
  /** When it times out, on the clock of {@link now}; Infinity for never. */
  readonly deadline: number
  /** The tick whose bucket it is in; 0 for none. */
  bucket: number
  /** Its deadline has passed. */
  onTimeout(): void
}

/**
 * Timeouts of many connections on one timer: a hashed timing wheel, checked lazily.
 *
 * Activity only writes a number; when a tick comes, the entries of its bucket are checked, and those with a later
 * deadline move to a later bucket. So ten thousand idle connections cost one timer and no work until their ticks come.
 */
class TimerWheel {
  readonly #buckets = new Map<number, Set<Timed>>()
  #timer: NodeJS.Timeout | undefined
  #next = Infinity

  /** Checks `timed` at its deadline, or earlier where it is in an earlier bucket already. */
  add(timed: Timed): void {
    if (timed.deadline === Infinity) return
    const tick = Math.ceil(timed.deadline / TICK)
    if (timed.bucket !== 0 && timed.bucket <= tick) return
    this.remove(timed)
    let bucket = this.#buckets.get(tick)
    if (!bucket) this.#buckets.set(tick, (bucket = new Set()))
    bucket.add(timed)
    timed.bucket = tick
    if (tick < this.#next) this.#schedule(tick)
  }

  remove(timed: Timed): void {
    if (timed.bucket === 0) return
    const bucket = this.#buckets.get(timed.bucket)
    bucket?.delete(timed)
    if (bucket?.size === 0) this.#buckets.delete(timed.bucket)
    timed.bucket = 0
  }

  #schedule(tick: number): void {
    this.#next = tick
    clearTimeout(this.#timer)
    // Unreferenced: a connection keeps the process alive, its timeout does not.
    const wait = Math.min(Math.max(1, tick * TICK - now()), INT_MAX)
    this.#timer = setTimeout(() => this.#onTick(), wait).unref()
  }

  #onTick(): void {
    const time = now()
    const due: Timed[] = []
    let next = Infinity
    for (const [tick, bucket] of this.#buckets) {
      if (tick * TICK > time) {
        next = Math.min(next, tick)
        continue
      }
      for (const timed of bucket) due.push(timed)
      this.#buckets.delete(tick)
    }
    this.#next = Infinity
    if (next !== Infinity) this.#schedule(next)
    for (const timed of due) timed.bucket = 0
    for (const timed of due) {
      if (timed.deadline <= time) timed.onTimeout()
      else this.add(timed)
    }
  }
}

/** The timeouts of this thread. */
export const timerWheel = new TimerWheel()
