import * as native from '../native.js'

/** By what a poller and the calls of Node's loop know of each other without a call: the words of `loopStatus`. */
export class LoopStatus {
  readonly #multiplexer: number
  readonly #words: Int32Array

  constructor(multiplexer: number) {
    this.#multiplexer = multiplexer
    // Where external memory is refused, the loop never says that it is calling.
    this.#words = new Int32Array(native.loopStatus(multiplexer) ?? new ArrayBuffer(native.LOOP_STATUS_BYTES))
  }

  /** Whether the loop is calling the poller, with the microtasks and `process.nextTick()` callbacks after the call. */
  get isCalling(): boolean {
    return this.#words[native.CALLING] === 1
  }

  /** Whether the multiplexer keeps the process alive. While the loop is calling it takes effect at the end of the call. */
  set referenced(referenced: boolean) {
    const word = referenced ? 1 : 0
    if (this.#words[native.REFERENCED] === word) return
    this.#words[native.REFERENCED] = word
    if (!this.isCalling) native.setReferenced(this.#multiplexer, referenced)
  }

  /**
   * Asks the loop to call once more if at the end of its call there are events for which no edge will come. Returns
   * false where it is not calling.
   */
  ask(): boolean {
    if (!this.isCalling) return false
    this.#words[native.QUESTION] = native.QUESTION_ASKED
    return true
  }

  /** Whether the loop is calling because of what was asked. The question is then answered, or asked no more. */
  takeAnswer(): boolean {
    const isReady = this.#words[native.QUESTION] === native.QUESTION_READY
    this.#words[native.QUESTION] = 0
    return isReady
  }
}
