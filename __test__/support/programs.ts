import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

import test, { type Implementation } from 'ava'

/** External programs that tests need. */
export type Program =
  | 'curl'
  | 'ip'
  | 'nc'
  | 'openssl'
  | 'prlimit'
  | 'python3'
  | 'redis-benchmark'
  | 'redis-cli'
  | 'socat'
  | 'strace'
  | 'unshare'
  | 'wrk'

/**
 * Declares a serial test that needs external programs. If one is missing, the test is skipped and its title says why;
 * under CI, which installs all of them, it fails.
 */
export function testWith(programs: readonly Program[], title: string, run: Implementation<[]>): void {
  const missing = programs.filter((program) => !isUsable(program)).join(' and ')
  if (missing === '') test.serial(title, run)
  else if (process.env['CI'])
    test.serial(title, (t) => t.fail(`${missing}: not usable on this machine, but CI needs it`))
  else test.serial.skip(`${title} (needs ${missing}, not usable on this machine)`, run)
}

function isUsable(program: Program): boolean {
  // A container may have strace but forbid ptrace(2).
  if (program === 'strace') return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
  // Only root may create these namespaces.
  if (program === 'unshare') return spawnSync('unshare', ['--net', '--mount', 'true']).status === 0
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => isExecutable(join(directory, program)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
