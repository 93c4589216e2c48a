// kernel.core_pattern, core(5).

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

const FILE = '/proc/sys/kernel/core_pattern'

/** The kernel's limit of the pattern, with its final NUL. */
const LONGEST = 127

/** A pattern that has core files written to a folder, named after process, signal and program. */
export function corePattern(folder) {
  const pattern = `${resolve(folder)}/core.%p.%s.%E`
  if (pattern.length > LONGEST) throw new Error(`the folder's path is too long for kernel.core_pattern: ${folder}`)
  return pattern
}

/** What the kernel does with core files now. */
export function currentPattern() {
  return readFileSync(FILE, 'utf8').trimEnd()
}

/** Sets the pattern, by sudo(8) if that asks for no password; returns whether it is set. */
export function setPattern(pattern) {
  if (currentPattern() === pattern) return true
  try {
    writeFileSync(FILE, pattern)
  } catch {
    spawnSync('sudo', ['-n', 'tee', FILE], { input: pattern, stdio: ['pipe', 'ignore', 'ignore'] })
  }
  return currentPattern() === pattern
}

/**
 * Where the kernel leaves core files: in a folder, in the working directory of the process that died, or in the care of
 * a program (a pipe), from which they are fetched by a command.
 *
 * @returns {{ kind: 'folder' | 'directory' | 'program', name: string }}
 */
export function destination(pattern) {
  if (pattern.startsWith('|')) return { kind: 'program', name: pattern.slice(1).split(' ')[0] }
  if (pattern.includes('/')) return { kind: 'folder', name: pattern.slice(0, pattern.lastIndexOf('/')) }
  return { kind: 'directory', name: pattern.split('%')[0] || 'core' }
}
