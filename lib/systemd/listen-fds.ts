import { SocketError } from '../errors.js'
import { Listener } from '../model/listener.js'
import { INT_MAX } from '../validate.js'

/** SD_LISTEN_FDS_START of sd-daemon.h. */
const FIRST = 3
/** What systemd sets; it removes the last one, too, from version 259 on. */
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'] as const
/** The name of what has none. */
const UNKNOWN = 'unknown'

/** By errno: why a descriptor is no listener. */
const REASONS: Readonly<Record<string, string>> = {
  EBADF: 'is not open',
  ENOTSOCK: 'is no socket',
  EPROTOTYPE: 'is no stream socket',
  EINVAL: 'does not listen',
  EEXIST: 'belongs to a Socket, a Listener or a Multiplexer of this process',
}

/** A descriptor that was passed and is no listener. */
export interface RefusedDescriptor {
  /** Its number. */
  readonly fd: number
  /** Its name, `'unknown'` if it has none. */
  readonly name: string
  /**
   * `'EBADF'` not open, `'ENOTSOCK'` no socket, `'EPROTOTYPE'` no stream socket, `'EINVAL'` not listening, `'EEXIST'` in use
   * by this library.
   */
  readonly reason: string
}

/** What {@link listenFds} throws. */
export interface ListenFdsError extends SocketError {
  readonly code: 'ERR_LISTEN_FDS'
  /** The descriptors that are no listeners; empty if a variable is wrong. */
  readonly descriptors: readonly RefusedDescriptor[]
}

/**
 * The listeners that systemd, or another program that does as it does, has passed to this process: sd_listen_fds(3) with
 * LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES. They are the descriptors from 3 on, in their order. Each is made
 * close-on-exec and non-blocking, and keeps its backlog and its options.
 *
 * The variables are removed from `process.env` in any case, so that children do not take the descriptors for theirs: a
 * second call returns `{}`.
 *
 * @returns by name, `'unknown'` without LISTEN_FDNAMES, the listeners of that name; `{}` if nothing was passed, or if it
 * was passed to another process (LISTEN_PID).
 * @throws SocketError ERR_LISTEN_FDS ({@link ListenFdsError}): a variable has no number, LISTEN_FDNAMES has not as many
 * names as there are descriptors, or descriptors are no listening stream sockets; `descriptors` lists these. None is then
 * taken over: all stay open, and the caller's.
 */
export function listenFds(): { [name: string]: Listener[] } {
  const [pid, fds, fdnames] = VARIABLES.map((name) => process.env[name])
  for (const name of VARIABLES) delete process.env[name]
  if (pid === undefined || numberOf('LISTEN_PID', pid, 1) !== process.pid || fds === undefined) return {}
  const count = numberOf('LISTEN_FDS', fds, 0)
  return count === 0 ? {} : byName(adoptAll(count, namesOf(count, fdnames)))
}

function numberOf(variable: string, text: string, min: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN
  if (number >= min && number <= INT_MAX - FIRST) return number
  throw failure(`${variable} is ${JSON.stringify(text)}, and has to be a number from ${min} on`)
}

/** The names; undefined if there are none. As in sd_listen_fds_with_names(3), there have to be as many as descriptors. */
function namesOf(count: number, names: string | undefined): string[] | undefined {
  const all = names?.split(':')
  if (all === undefined || all.length === count) return all
  throw failure(`LISTEN_FDNAMES has ${all.length} names, ${JSON.stringify(names)}, and LISTEN_FDS is ${count}`)
}

/** A listener, and its name. */
type Named = readonly [name: string, listener: Listener]

/** All of them, or none. */
function adoptAll(count: number, names: string[] | undefined): Named[] {
  const listeners: Named[] = []
  const refused: RefusedDescriptor[] = []
  for (let index = 0; index < count; index++) {
    const fd = FIRST + index
    const name = names?.[index] ?? UNKNOWN
    try {
      listeners.push([name, Listener.adopt(fd)])
    } catch (error) {
      if (!(error instanceof SocketError)) throw error
      refused.push({ fd, name, reason: error.code })
      // What was passed has no gaps: LISTEN_FDS is too large.
      if (error.code === 'EBADF') break
    }
  }
  if (refused.length === 0) return listeners
  for (const [, listener] of listeners) listener.detach()
  throw failure(`LISTEN_FDS is ${count}, and ${refused.map(describe).join(', ')}`, refused)
}

/** A name may be `__proto__`. */
function byName(listeners: Named[]): { [name: string]: Listener[] } {
  const found = new Map<string, Listener[]>()
  for (const [name, listener] of listeners) found.set(name, [...(found.get(name) ?? []), listener])
  return Object.fromEntries(found)
}

function describe({ fd, name, reason }: RefusedDescriptor): string {
  return `descriptor ${fd} (${JSON.stringify(name)}) ${REASONS[reason] ?? `cannot be used (${reason})`}`
}

function failure(message: string, descriptors: readonly RefusedDescriptor[] = []): ListenFdsError {
  const error = new SocketError(`listenFds: ${message}`, 'ERR_LISTEN_FDS')
  return Object.assign(error, { code: 'ERR_LISTEN_FDS', descriptors } as const)
}
