/** What a server has done since it began, and what it has open now: a snapshot, made by {@link Server.stats}. */
export interface ServerStats {
  /** How many connections were accepted, `open + closed + failed` in all; those that were refused are not among them. */
  readonly accepted: number
  /** How many are open now. */
  readonly open: number
  /**
   * How many connections were closed before `open` was called: the kernel refused to watch them (ENOSPC, ENOMEM), or
   * their PROXY header was wrong, late or not trusted. What waits in the backlog, at `maxConnections`, is not refused.
   */
  readonly refused: number
  /** How many have ended without an error: by an end of both sides, an idle timeout, `terminate` or a handing over. */
  readonly closed: number
  /** How many have ended by an error, the second argument of `close`. */
  readonly failed: number
  /** Bytes received, over all connections, closed ones too. */
  readonly bytesRead: number
  /** Bytes that the kernel has taken, over all connections, closed ones too. */
  readonly bytesWritten: number
  /** Bytes in the send queues now. */
  readonly queued: number
  /** How many of the open connections are paused now, by `pause`. */
  readonly paused: number
  /** How often accepting paused, for 100 ms, for want of descriptors or memory: EMFILE, ENFILE, ENOBUFS, ENOMEM. */
  readonly acceptPauses: number
}

/** What is counted of a connection. */
interface Counted {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly isPaused: boolean
  readonly socket: { readonly queued: number } | undefined
}

/** Counts what happens once in the life of a connection; what the open ones know is asked of them. */
export class ServerCounters {
  refused = 0
  acceptPauses = 0
  #closed = 0
  #failed = 0
  /** Bytes of the connections that are closed. */
  #bytesRead = 0
  #bytesWritten = 0

  /** A connection that was open has ended. */
  ended({ bytesRead, bytesWritten }: Counted, error: Error | undefined): void {
    if (error) this.#failed++
    else this.#closed++
    this.#bytesRead += bytesRead
    this.#bytesWritten += bytesWritten
  }

  stats(connections: ReadonlySet<Counted>): ServerStats {
    let bytesRead = this.#bytesRead
    let bytesWritten = this.#bytesWritten
    let queued = 0
    let paused = 0
    for (const connection of connections) {
      bytesRead += connection.bytesRead
      bytesWritten += connection.bytesWritten
      queued += connection.socket?.queued ?? 0
      if (connection.isPaused) paused++
    }
    const open = connections.size
    const accepted = open + this.#closed + this.#failed
    const counted = { accepted, open, refused: this.refused, closed: this.#closed, failed: this.#failed }
    return { ...counted, bytesRead, bytesWritten, queued, paused, acceptPauses: this.acceptPauses }
  }
}
