import { constants } from 'node:os'

import type { Chunker } from './receive-buffer.js'
import { SocketClosedError, systemError } from '../errors.js'
import type { Watcher } from '../model/event.js'
import type { InterestBits, Poller } from './poller.js'
import type { Source } from '../model/source.js'

const IN_USE = 'the target is in a multiplexer already (a Multiplexer, a Duplex, a connection or an iteration)'

/** Native mode number of `'edge'`. */
const EDGE = 0

/** A poller as the place where watchers live. */
export class Host {
  protected readonly poller: Poller

  constructor(poller: Poller) {
    this.poller = poller
  }

  /**
   * Tells `watcher` of the source's events, until `unwatch` or until the source closes.
   *
   * @throws SocketClosedError; SocketError EEXIST when somebody watches the source already.
   */
  watch(source: Source, interest: InterestBits, watcher: Watcher): void {
    if (source.handle < 0) throw new SocketClosedError()
    source.poller?.dismissGuest(source)
    if (source.poller) throw systemError(constants.errno.EEXIST, 'epoll_ctl', undefined, IN_USE)
    this.poller.add(source, interest, EDGE, source.handle, watcher)
  }

  modify(source: Source, interest: InterestBits): void {
    const registration = this.poller.registrationOf(source)
    if (registration) this.poller.modify(registration, interest, EDGE)
  }

  unwatch(source: Source): void {
    const registration = this.poller.registrationOf(source)
    if (registration) this.poller.remove(registration)
  }

  /** Makes the chunks of all who have no buffer of their own. */
  get chunker(): Chunker {
    return this.poller.chunker
  }

  /** Whether watchers are being told of a batch right now. */
  get inBatch(): boolean {
    return this.poller.inBatch
  }

  /** Calls back when all watchers of the running batch have been told; soon, when none runs. */
  defer(callback: () => void): void {
    if (this.inBatch) this.poller.atBatchEnd(callback)
    else queueMicrotask(callback)
  }

  /** Keeps the process alive until released as often as held: where the program runs the multiplexer, that is its own affair. */
  hold(): void {}

  release(): void {}
}
