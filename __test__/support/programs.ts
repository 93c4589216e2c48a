import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

import test, { type Implementation } from 'ava'

/** Programs of other people that tests talk to or look through. */
export type Program =
  'curl' | 'ip' | 'nc' | 'openssl' | 'python3' | 'redis-benchmark' | 'redis-cli' | 'socat' | 'strace' | 'unshare'

/**
 * Declares a serial test that needs other people's programs. Where one is absent the test is skipped, and its title says
 * why; under CI, which installs them all, it fails.
 */
export function testWith(peers: readonly Program[], title: string, run: Implementation<[]>): void {
  const absent = peers.filter((peer) => !isUsable(peer)).join(' and ')
  if (absent === '') test.serial(title, run)
  else if (process.env['CI'])
    test.serial(title, (t) => t.fail(`${absent}: not to be used on this machine, and CI needs it`))
  else test.serial.skip(`${title} (needs ${absent}, not to be used on this machine)`, run)
}

function isUsable(peer: Program): boolean {
  // A container may have strace and forbid ptrace(2).
  if (peer === 'strace') return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
  // Namespaces are root's to make.
  if (peer === 'unshare') return spawnSync('unshare', ['--net', '--mount', 'true']).status === 0
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => isExecutable(join(directory, peer)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
