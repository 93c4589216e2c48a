import type { SocketError } from '../errors.js'
import type { Listener } from '../model/listener.js'
import { type InterestBits, READ } from '../native.js'
import type { ConnectionOwner } from './owner.js'

/** Whose connections are accepted. */
interface Acceptor<D> {
  readonly listener: Listener
  readonly owner: ConnectionOwner<D>
  /** How many more connections may be open. */
  room(): number
}

/** Has waits accept the connections of a server, as many as there is room for. */
export class Accepting<D> {
  readonly #acceptor: Acceptor<D>
  /** How many connections waits may still accept. */
  #granted = 0
  /** What they watch the sockets for. */
  #interest: InterestBits = READ
  /** Whether that changes at the end of the running batch. */
  #isChanging = false
  /** Whether a warning of an accept that failed was emitted, and none has succeeded since. */
  #hasWarned = false

  /** @throws SocketError ENOMEM */
  constructor(acceptor: Acceptor<D>) {
    this.#acceptor = acceptor
    this.#serveNow()
  }

  /** What waits watch the sockets for. */
  get interest(): InterestBits {
    return this.#interest
  }

  /** A wait has accepted a connection. */
  onAccepted(): void {
    this.#hasWarned = false
    this.#granted--
  }

  /** The kernel does not let a wait accept. Emits one warning for an error that lasts. */
  onFailed(error: SocketError): void {
    if (!this.#hasWarned) process.emitWarning(error)
    this.#hasWarned = true
  }

  /**
   * There may be more room, or less. Waits may accept some that the running batch has not reported yet: so what has been
   * granted is taken back only after it.
   */
  onRoomChanged(): void {
    const room = this.#acceptor.room()
    if (room === this.#granted || (this.#granted > 0 && room > this.#granted)) return
    this.#serve()
  }

  /** There are other handlers: perhaps one for `data`. */
  onReload(): void {
    if (this.#interest !== this.#acceptor.owner.initialInterest) this.#serve()
  }

  #serve(): void {
    const { listener, owner } = this.#acceptor
    if (listener.handle < 0 || this.#isChanging) return
    if (this.#granted === 0 || !owner.poller.inBatch) return this.#serveNow()
    this.#isChanging = true
    owner.poller.defer(() => {
      this.#isChanging = false
      if (listener.handle >= 0) this.#serveNow()
    })
  }

  #serveNow(): void {
    const { listener, owner } = this.#acceptor
    const { poller, initialInterest, sendQueueLimit } = owner
    const room = this.#acceptor.room()
    poller.serve(listener, initialInterest, sendQueueLimit, room)
    this.#interest = initialInterest
    this.#granted = room
  }
}
