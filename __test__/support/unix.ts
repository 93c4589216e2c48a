import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

/**
 * A new directory, removed at the end of the test. Its path is short: a socket's path must stay below 108 bytes,
 * unix(7).
 */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'm-socket-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** An unused path in a new directory. */
export function freePath(t: ExecutionContext): string {
  return join(temporaryDirectory(t), 'socket')
}

let names = 0

/** An unused abstract name. */
export function abstractName(): string {
  return `\0m-socket-test-${process.pid}-${names++}`
}
