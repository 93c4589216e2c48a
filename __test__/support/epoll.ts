import { readFileSync } from 'node:fs'

import { Multiplexer } from 'm-socket'

import { openDescriptors } from './descriptors.js'

/** A new multiplexer, and its epoll descriptor. */
export function multiplexerAndDescriptor(): { multiplexer: Multiplexer; epoll: number } {
  const before = openDescriptors()
  const multiplexer = new Multiplexer()
  const opened = [...openDescriptors()].filter(
    ([fd, link]) => link === 'anon_inode:[eventpoll]' && before.get(fd) !== link,
  )
  if (opened.length !== 1) throw new Error(`${opened.length} new epoll descriptors instead of one`)
  return { multiplexer, epoll: opened[0]![0] }
}

/**
 * The descriptor numbers that are registered with an epoll descriptor, proc_pid_fdinfo(5), without the timer of the
 * multiplexer, whose token has all bits set.
 */
export function registeredIn(epoll: number): number[] {
  const entries = readFileSync(`/proc/self/fdinfo/${epoll}`, 'utf8').matchAll(/^tfd:\s*(\d+).*data:\s*(\w+)/gm)
  return [...entries].filter(([, , token]) => token !== 'ffffffffffffffff').map(([, fd]) => Number(fd))
}
