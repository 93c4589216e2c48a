import { MAX_TIMEOUT } from '../validate.js'

/** Milliseconds between two looks at what may have timed out: timeouts are told up to this much late. */
export const TICK = 100

/** Something that may time out. */
export interface Timed {
  /** When it times out unless something happens, on the clock of {@link now}; Infinity when it does not. */
  readonly deadline: number
  /** The tick whose bucket it stands in; 0 when in none. */
  bucket: number
  /** Its deadline has passed. */
  onTimeout(): void
}

/** Milliseconds since the process began. */
export function now(): number {
  return performance.now()
}

/**
 * Timeouts of many connections on one timer: a hashed wheel, looked at lazily.
 *
 * Activity only writes a number; whoever's tick comes is looked at, and put into a later bucket if something has
 * happened since. So ten thousand idle connections cost one timer and no work until their ticks come.
 */
class Wheel {
  readonly #buckets = new Map<number, Set<Timed>>()
  #timer: NodeJS.Timeout | undefined
  #next = Infinity

  /** Looks at `timed` when its deadline comes, unless that is far off the bucket that it already stands in. */
  watch(timed: Timed): void {
    if (timed.deadline === Infinity) return
    const tick = Math.ceil(timed.deadline / TICK)
    if (timed.bucket !== 0 && timed.bucket <= tick) return
    this.forget(timed)
    let bucket = this.#buckets.get(tick)
    if (!bucket) this.#buckets.set(tick, (bucket = new Set()))
    bucket.add(timed)
    timed.bucket = tick
    if (tick < this.#next) this.#arm(tick)
  }

  forget(timed: Timed): void {
    if (timed.bucket === 0) return
    const bucket = this.#buckets.get(timed.bucket)
    bucket?.delete(timed)
    if (bucket?.size === 0) this.#buckets.delete(timed.bucket)
    timed.bucket = 0
  }

  #arm(tick: number): void {
    this.#next = tick
    clearTimeout(this.#timer)
    // Unreferenced: a connection holds the process, its timeout does not.
    const wait = Math.min(Math.max(1, tick * TICK - now()), MAX_TIMEOUT)
    this.#timer = setTimeout(() => this.#turn(), wait).unref()
  }

  #turn(): void {
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
    if (next !== Infinity) this.#arm(next)
    for (const timed of due) timed.bucket = 0
    for (const timed of due) {
      if (timed.deadline <= time) timed.onTimeout()
      else this.watch(timed)
    }
  }
}

export const wheel = new Wheel()
