import type { Connection, Handlers } from 'm-socket'

import { until } from './waiting.js'

/** Which handlers were called, in their order, each with what it was told. */
export class HandlerLog {
  readonly entries: string[] = []

  /** Handlers that note their call, and then do what those of `acts` do. */
  handlers(acts: Handlers = {}): Handlers {
    return {
      open: (connection) => this.#note('open', acts.open, connection),
      data: (connection, chunk) => this.#note(`data ${chunk.toString('latin1')}`, acts.data, connection, chunk),
      drain: (connection) => this.#note('drain', acts.drain, connection),
      end: (connection) => this.#note('end', acts.end, connection),
      timeout: (connection) => this.#note('timeout', acts.timeout, connection),
      error: (connection, error) => this.#note(`error ${nameOf(error)}`, acts.error, connection, error),
      close: (connection, error) =>
        this.#note(error ? `close ${nameOf(error)}` : 'close', acts.close, connection, error),
    }
  }

  /** Waits for the call of `close`, and for what might wrongly come after it. */
  async closed(): Promise<string[]> {
    await until(() => this.entries.some((entry) => entry.startsWith('close')))
    await new Promise((resolve) => setTimeout(resolve, 10))
    return this.entries
  }

  #note<A extends unknown[]>(
    entry: string,
    act: ((connection: Connection, ...rest: A) => void | Promise<void>) | undefined,
    connection: Connection,
    ...rest: A
  ): void | Promise<void> {
    this.entries.push(entry)
    return act?.(connection, ...rest)
  }
}

/** A system error by its code, one of the test's own by its message. */
function nameOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message
}
