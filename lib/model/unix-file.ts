import { type BigIntStats, chmodSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, resolve } from 'node:path'

import { type SocketError, invalidArgValue, outOfRange, systemError } from '../errors.js'
import * as native from '../native.js'
import { PATH_SIZE, number } from '../validate.js'

const { EACCES, EADDRINUSE, ECONNREFUSED } = constants.errno

/** How the file of a Unix socket is made and removed. */
export interface UnixFileOptions {
  /**
   * The permission bits of the path, 0 to 0o777, in force before a peer can connect: chmod(2) between bind(2) and
   * listen(2). **Default:** 0o777 without the bits of the umask.
   */
  readonly mode?: number | undefined
  /**
   * `'stale'` first removes the file of a socket that no process has open any more. `true` does that too, and `close()`
   * removes the file of this listener if it is still at its path. **Default:** false, no file is removed.
   */
  readonly unlink?: boolean | 'stale' | undefined
}

/** @internal By names that other libraries have for these options: their names here. */
export const UNIX_FILE_HINTS = {
  chmod: "'mode'",
  permissions: "'mode'",
  readableAll: "'mode'",
  removeStale: "'unlink'",
  stale: "'unlink'",
  writableAll: "'mode'",
}

type Given = { readonly path?: unknown; readonly mode?: unknown; readonly unlink?: unknown }

/**
 * @internal Checks both options, which errors call by their names behind `prefix`.
 *
 * @throws TypeError where there is no file: without a path, and with an abstract one
 */
export function checkUnixFile({ path, mode, unlink }: Given, prefix = ''): void {
  for (const [name, value] of Object.entries({ mode, unlink })) {
    if (value === undefined) continue
    if (path === undefined) throw invalidArgValue(prefix + name, value, 'is for a path alone')
    if (isAbstract(path)) throw invalidArgValue(prefix + name, value, 'is for a path alone that is not abstract')
  }
  if (mode !== undefined) checkMode(mode, `${prefix}mode`)
  if (unlink !== undefined && typeof unlink !== 'boolean' && unlink !== 'stale') {
    throw invalidArgValue(`${prefix}unlink`, unlink, "must be one of: true, false, 'stale'")
  }
}

/** Octal in the message: 660 is not 0o660. */
function checkMode(value: unknown, name: string): void {
  const bits = number(value, name)
  if (Number.isInteger(bits) && bits >= 0 && bits <= 0o777) return
  throw outOfRange(name, 'an integer >= 0 && <= 0o777, such as 0o660', value)
}

function isAbstract(path: unknown): boolean {
  return typeof path === 'string' && path.startsWith('\0')
}

/** @internal The file of a bound Unix socket. */
export class UnixFile {
  readonly #path: string
  readonly #identity: string

  private constructor(path: string, identity: string) {
    this.#path = path
    this.#identity = identity
  }

  /** The file at a path; undefined where there is none. */
  static at(path: string): UnixFile | undefined {
    const absolute = resolve(path)
    const stats = isAbstract(path) ? undefined : patiently(() => statsOf(absolute))
    return stats && new UnixFile(absolute, identityOf(stats))
  }

  chmod(mode: number): void {
    try {
      patiently(() => (chmodSync(this.#path, mode), true))
    } catch (error) {
      throw fileError(error, this.#path)
    }
  }

  /** Removes it, if it is still at its path. */
  remove(): void {
    try {
      const stats = statsOf(this.#path)
      if (stats && identityOf(stats) === this.#identity) unlinkSync(this.#path)
    } catch {
      // As close(2), it leaves nothing for the caller to do.
    }
  }
}

/**
 * @internal Removes the file of a socket that no process has open.
 *
 * Another process may do the same, and bind, between the look and the removal. So the file is renamed first, and goes
 * back to its path if it is not the one that was looked at.
 */
export function removeStale(path: string): void {
  if (!isStale(path)) return
  const aside = `${dirname(path)}/.${Math.random().toString(36).slice(2, 10)}`
  try {
    // Too long to be looked at again.
    if (Buffer.byteLength(aside) >= PATH_SIZE || !mayWrite(aside)) return unlinkSync(path)
    renameSync(path, aside)
    if (isStale(aside)) unlinkSync(aside)
    else renameSync(aside, path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fileError(error, path)
  }
}

/**
 * @internal Refuses what Node's permission model would refuse only after bind(2), when the file is there to stay.
 *
 * @throws SocketError EACCES
 */
export function checkPermission(path: string): void {
  if (mayWrite(path)) return
  const note = 'mode and unlink need --allow-fs-read and --allow-fs-write in the permission model of Node'
  throw systemError(EACCES, 'bind', { path }, note)
}

function mayWrite(path: string): boolean {
  const { permission } = process as { permission?: { has(scope: string, reference: string): boolean } }
  return permission === undefined || ['fs.read', 'fs.write'].every((scope) => permission.has(scope, resolve(path)))
}

/** @internal Removes the file that was just bound, as far as that is allowed. */
export function removeNew(path: string): void {
  try {
    UnixFile.at(path)?.remove()
  } catch {
    // Another error is on its way to the caller.
  }
}

/** @internal Why bind(2) refused a path. */
export function bindError(errno: number, path: string, unlink: boolean | 'stale'): SocketError {
  const hint = errno === EADDRINUSE && unlink === false && isKnownStale(path)
  return systemError(errno, 'bind', { path }, hint ? STALE : undefined)
}

const STALE = "nobody listens on it: stale file? Remove it, or have it removed by unlink: 'stale'"

/** Whether it is the file of a socket that no process has open: truth 46. */
function isStale(path: string): boolean {
  return statsOf(path)?.isSocket() === true && native.probePath(path) === -ECONNREFUSED
}

/** Node's permission model may forbid to look. */
function isKnownStale(path: string): boolean {
  try {
    return !isAbstract(path) && isStale(path)
  } catch {
    return false
  }
}

/** Undefined where there is no such file, or where it cannot be reached. */
function statsOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    if (isSystemError(error)) return undefined
    throw error
  }
}

/** An inode's number is used again as soon as it is free, so the time at which the file was made belongs to it. */
function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`
}

/** A process that looks for stale files may have renamed ours for a moment. */
function patiently<T>(use: () => T | undefined): T | undefined {
  for (let tries = 0; ; tries++) {
    try {
      const result = use()
      if (result !== undefined || tries === TRIES) return result
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || tries === TRIES) throw error
    }
    Atomics.wait(NEVER, 0, 0, 1)
  }
}

const TRIES = 20
const NEVER = new Int32Array(new SharedArrayBuffer(4))

interface SystemError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string
}

function isSystemError(error: unknown): error is SystemError {
  return typeof (error as Partial<SystemError> | null)?.errno === 'number'
}

function codeOf(error: unknown): string | undefined {
  return (error as Partial<SystemError> | null)?.code
}

/** As the library's own; an error of the permission model stays. */
function fileError(error: unknown, path: string): unknown {
  return isSystemError(error) ? systemError(Math.abs(error.errno), error.syscall, { path }) : error
}
