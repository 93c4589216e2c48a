/** What a multiplexer has done since it was made: a snapshot, made by {@link Multiplexer.stats}. */
export interface MultiplexerStats {
  /** How many targets it watches now, with the connections and servers that live in it. */
  readonly targets: number
  /** How often it was waited for: calls of `wait`, `waitSync` and `poll`, and steps of a loop over it. */
  readonly waits: number
  /** How many events it has reported: to those who waited, and to the handlers of connections and servers in it. */
  readonly events: number
  /** How many waits `wake` has ended. */
  readonly wakeups: number
}

/** Counts per wait, never per event. */
export class WaitCounters {
  waits = 0
  events = 0
  wakeups = 0
}
