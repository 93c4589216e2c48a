import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { constants } from 'node:fs'

import * as native from 'm-socket/native'

/** The open descriptors of this process and their targets, such as `socket:[1234]`. */
export function openDescriptors(): Map<number, string> {
  const open = new Map<number, string>()
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`))
    } catch {
      // The descriptor through which the directory was read is closed by now.
    }
  }
  return open
}

/**
 * The sockets, epoll descriptors and the like that this process has open. Without files: a runtime loads modules on its
 * own threads at any time. Without duplicates of the standard streams: Bun makes one for its first warning.
 */
export function openObjects(): string[] {
  const open = openDescriptors()
  const standard = [0, 1, 2].map((fd) => open.get(fd))
  return [...open.values()].filter((target) => !target.startsWith('/') && !standard.includes(target)).sort()
}

/** The descriptor of this process's datagram socket on a port, found by its inode: proc_pid_net(5). */
export function datagramDescriptor(port: number): number {
  const rows = readFileSync('/proc/self/net/udp', 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  const inode = rows.find((row) => Number.parseInt(row[1]?.split(':')[1] ?? '', 16) === port)?.[9]
  const found = [...openDescriptors()].find(([, link]) => link === `socket:[${inode}]`)
  if (!found) throw new Error(`no datagram socket on port ${port}`)
  return found[0]
}

/**
 * The one socket that this process has opened since `before`; nothing else may open any meanwhile. For sockets of
 * node:net, whose descriptors not every runtime exposes.
 */
export function socketOpenedSince(before: ReadonlyMap<number, string>): number {
  const known = new Set(before.values())
  const opened = [...openDescriptors()].filter(([, link]) => link.startsWith('socket:') && !known.has(link))
  if (opened.length !== 1) throw new Error(`${opened.length} sockets have been opened`)
  return opened[0]![0]
}

/** The sockets that this process has open. The lookup of a host name opens more of them, on another thread. */
export function openSockets(): string[] {
  return openObjects().filter((target) => target.startsWith('socket:'))
}

/** Whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return openDescriptors().has(fd)
}

/** `O_CLOEXEC` and `O_NONBLOCK` of an open descriptor, proc_pid_fdinfo(5). */
export function descriptorFlags(fd: number): { closeOnExec: boolean; nonBlocking: boolean } {
  const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8)
  return { closeOnExec: (flags & O_CLOEXEC) !== 0, nonBlocking: (flags & constants.O_NONBLOCK) !== 0 }
}

/** fcntl(2). node:fs has no such constant. */
const O_CLOEXEC = 0o2000000

/** The descriptor of a stream socket that no object owns, bound to an address if that is given. */
export function unconnectedDescriptor(family: number, bindTo?: string): number {
  const handle = native.open(family)
  if (bindTo !== undefined) native.bind(handle, bindTo, 0)
  const fd = native.descriptor(handle)
  native.disown(handle)
  return fd
}
