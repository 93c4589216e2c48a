import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os'
import process from 'node:process'

import { pinned } from './cores.js'

/** The machine on which the figures were measured. */
export function machine(): Record<string, string | number | boolean> {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    virtual: /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')),
    arch: arch(),
    kernel: release().split('-', 1)[0]!,
    node: process.version,
    pinned,
  }
}
