import type { Connection } from 'm-socket'

/** The lines of a connection; null in place of one with more than `limit` bytes, of which nothing is kept. */
export async function* limitedLines<D>(
  connection: Connection<D>,
  limit: number,
): AsyncGenerator<string | null, void, void> {
  for (;;) {
    try {
      yield* connection.lines({ limit })
      return
    } catch (error) {
      if (!hasCode(error, 'ERR_LIMIT_EXCEEDED')) throw error
    }
    yield null
    if (!(await skipLine(connection, limit))) return
  }
}

/** Reads to the end of the line, and drops it. Returns whether there is one. */
async function skipLine<D>(connection: Connection<D>, limit: number): Promise<boolean> {
  for (;;) {
    try {
      await connection.readUntil('\n', { limit })
      return true
    } catch (error) {
      if (hasCode(error, 'ERR_UNEXPECTED_END')) return false
      if (!hasCode(error, 'ERR_LIMIT_EXCEEDED')) throw error
      // What is too long can still be read.
      await connection.readExactly(limit)
    }
  }
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
