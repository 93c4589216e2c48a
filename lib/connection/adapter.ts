/** What reads and writes a connection in place of its handlers: a Duplex, web streams. */
export interface Adapter {
  /** Whether the socket was handed over to it: the connection neither reads nor ends it any more. */
  hasSocket?: true
  /** Whether it is a stream, which alone reads from here on. */
  readonly isStream?: true
  /** There is room, after a write that took less than it was given. */
  onDrain?(): void
  /** The connection is closed. */
  onClose?(error?: Error): void
  /** The error for which the adapter closes the socket that was handed over to it; undefined without one. */
  failure?(): Error | undefined
  /** Ends our half, behind what the adapter has still to send. */
  end?(): void
}
