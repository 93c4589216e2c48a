/** With at least this many events, polling again costs less than a turn of Node's loop and its own epoll_wait(2). */
const BUSY = 2

/** After this many polls, or events, the other handles of Node's loop get their turn. */
const POLLS_PER_TURN = 4
const EVENTS_PER_TURN = 256

/** How often a poller may poll in one turn of Node's loop. */
export class TurnBudget {
  #polls = 0
  #goesOn = false
  #events = 0

  /** A poll begins: the first of a turn, unless {@link goesOn} said otherwise. */
  begin(): void {
    if (this.#goesOn) return void (this.#goesOn = false)
    this.#polls = POLLS_PER_TURN
    this.#events = EVENTS_PER_TURN
  }

  /** A poll has reported `events`. */
  spend(events: number): void {
    this.#events -= events
    this.#polls = events < BUSY || this.#events <= 0 ? 0 : this.#polls - 1
  }

  /** Nothing is left until the next turn. */
  clear(): void {
    this.#polls = 0
  }

  get isSpent(): boolean {
    return this.#polls === 0
  }

  /** Whether the poller polls again in this turn, once ticks and microtasks have run. */
  goesOn(): boolean {
    return (this.#goesOn = !this.isSpent)
  }

  /** The turn is over. */
  end(): void {
    this.#goesOn = false
  }
}
