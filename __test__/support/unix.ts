import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

/** A directory of the test's own, removed at its end. Its path is short: sockets in it must stay below 108 bytes. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'm-socket-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A path where nothing is yet, in a directory of the test's own. */
export function freePath(t: ExecutionContext): string {
  return join(temporaryDirectory(t), 'socket')
}

let names = 0

/** An abstract name that nobody else has. */
export function abstractName(): string {
  return `\0m-socket-test-${process.pid}-${names++}`
}
