import type { Connection, Handlers } from 'm-socket'

import { until } from './waiting.js'

/** Records the calls of handlers in order, with their arguments. */
export class HandlerLog {
  readonly entries: string[] = []

  /** Handlers that record their call and then call the handler of `acts`, if there is one. */
  handlers(acts: Handlers = {}): Handlers {
    return {
      open: (connection) => this.#record('open', acts.open, connection),
      data: (connection, chunk) => this.#record(`data ${chunk.toString('latin1')}`, acts.data, connection, chunk),
      drain: (connection) => this.#record('drain', acts.drain, connection),
      end: (connection) => this.#record('end', acts.end, connection),
      timeout: (connection) => this.#record('timeout', acts.timeout, connection),
      error: (connection, error) => this.#record(`error ${nameOf(error)}`, acts.error, connection, error),
      close: (connection, error) =>
        this.#record(error ? `close ${nameOf(error)}` : 'close', acts.close, connection, error),
    }
  }

  /** Waits for the call of `close`, and 10 ms more for calls that must not follow it. */
  async closed(): Promise<string[]> {
    await until(() => this.entries.some((entry) => entry.startsWith('close')))
    await new Promise((resolve) => setTimeout(resolve, 10))
    return this.entries
  }

  #record<A extends unknown[]>(
    entry: string,
    act: ((connection: Connection, ...rest: A) => unknown) | undefined,
    connection: Connection,
    ...rest: A
  ): unknown {
    this.entries.push(entry)
    return act?.(connection, ...rest)
  }
}

/** The code of a system error; the message of an error that the test itself threw. */
function nameOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message
}
