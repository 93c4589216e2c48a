// Core files and their backtraces.

import { spawnSync } from 'node:child_process'
import { existsSync, openSync, readSync, readdirSync, closeSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

import { currentPattern, destination } from './pattern.js'

/** The most core files that are shown: those of a loop are all alike. */
const MOST = 5

/** Folders in which no core file is looked for. */
const SKIPPED = new Set(['node_modules', '.git', 'registry'])

/**
 * The core files in a folder; where the kernel does not write there, also those in the working directories below this
 * one.
 */
export function coresOf(folder, pattern = currentPattern()) {
  const here = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
  const { kind, name } = destination(pattern)
  const elsewhere = kind === 'directory' ? below('.', name) : []
  return [...new Set([...here, ...elsewhere])].filter(isCore)
}

/**
 * Prints a backtrace of each core file, and removes it.
 *
 * @param {(text: string) => void} print
 * @returns {number} how many there were
 */
export function report(folder, print = console.log, pattern = currentPattern()) {
  const cores = coresOf(folder, pattern)
  for (const core of cores.slice(0, MOST)) print(`${core}\n${backtrace(core)}`)
  if (cores.length > MOST) print(`and ${cores.length - MOST} more core files`)
  for (const core of cores) rmSync(core)
  const { kind, name } = destination(pattern)
  return cores.length + (kind === 'program' ? ofProgram(name, print) : 0)
}

/** Removes the core file of a process, where the kernel names it after that. */
export function removeCore(pid, pattern = currentPattern()) {
  const { kind, name } = destination(pattern)
  if (kind !== 'folder' || !existsSync(name)) return
  for (const file of readdirSync(name)) if (file.startsWith(`core.${pid}.`)) rmSync(join(name, file))
}

/** The calls of all threads. */
function backtrace(core) {
  const { stdout, stderr, error } = gdb(core, programOf(core), 'thread apply all bt')
  if (error) return `gdb: ${error.message}`
  return stdout.trim() || stderr.trim()
}

/** What died: in the file's name, with ! for /; otherwise gdb knows by what it was generated. */
function programOf(core) {
  const named = /core\.\d+\.\d+\.(!.*)$/.exec(core)?.[1]?.replaceAll('!', '/')
  if (named !== undefined && existsSync(named)) return named
  const { stdout } = gdb(core, undefined, 'info auxv')
  const found = /AT_EXECFN.*"(.*)"/.exec(stdout ?? '')?.[1]
  return found !== undefined && existsSync(found) ? found : undefined
}

function gdb(core, program, command) {
  const args = ['-batch', '-nx', '-ex', 'set pagination off', '-ex', command]
  return spawnSync('gdb', [...args, ...(program === undefined ? [] : [program]), '-core', core], {
    encoding: 'utf8',
    env: { ...process.env, DEBUGINFOD_URLS: '' },
    maxBuffer: 2 ** 26,
    timeout: 120_000,
  })
}

/** systemd-coredump(8) keeps them itself. */
function ofProgram(name, print) {
  if (!name.includes('systemd-coredump')) {
    print(`core files go to ${name}: they are not looked for`)
    return 0
  }
  const { status, stdout } = spawnSync('coredumpctl', ['info', '--no-pager', '--since', '-2h'], { encoding: 'utf8' })
  if (status !== 0 || !stdout) return 0
  print(stdout)
  return 1
}

function below(folder, start, depth = 0) {
  if (depth > 4) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : below(path, start, depth + 1)
    return entry.isFile() && entry.name.startsWith(start) ? [path] : []
  })
}

/** An ELF file of the type ET_CORE, elf(5). */
function isCore(path) {
  const head = Buffer.alloc(18)
  try {
    const file = openSync(path, 'r')
    readSync(file, head)
    closeSync(file)
  } catch {
    return false
  }
  return head.readUInt32BE(0) === 0x7f454c46 && head[16] === 4
}
