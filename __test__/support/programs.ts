import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

import test, { type Implementation } from 'ava'

import { find } from '../consumers/servers/support.js'

/** External programs that tests need. */
export type Program =
  | 'curl'
  | 'haproxy'
  | 'initdb'
  | 'ip'
  | 'memccat'
  | 'nc'
  | 'nginx'
  | 'nginx stream'
  | 'openssl'
  | 'prlimit'
  | 'psql'
  | 'python3'
  | 'redis-benchmark'
  | 'redis-cli'
  | 'redis-server'
  | 'socat'
  | 'strace'
  | 'systemd-analyze'
  | 'systemd-socket-activate'
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
  // Debian has the programs of PostgreSQL's server outside of PATH, and daemons in /usr/sbin.
  if (program === 'initdb' || program === 'haproxy' || program === 'nginx') return find(program) !== undefined
  // In Debian it is a module of its own.
  if (program === 'nginx stream') return existsSync('/usr/lib/nginx/modules/ngx_stream_module.so')
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
