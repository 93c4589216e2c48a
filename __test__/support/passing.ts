import { closeSync, fstatSync } from 'node:fs'

import type { ExecutionContext } from 'ava'
import type { Socket } from 'm-socket'

import type { Pair } from './pair.js'
import { unixPairs } from './unix-pairs.js'
import { until } from './waiting.js'

/** What a call of receiveDescriptors has returned. */
export type Passed = NonNullable<ReturnType<Socket['receiveDescriptors']>>

/** Both ends of a connection over a Unix socket, in no multiplexer; reset at the end of the test. */
export function unixPair(t: ExecutionContext): Pair {
  return unixPairs(t, 1)[0]!
}

/** As {@link unixPair}, of which the kernel takes some kilobytes only. */
export function smallUnixPair(t: ExecutionContext): Pair {
  const pair = unixPair(t)
  for (const socket of [pair.client, pair.server]) socket.setOption('sendBufferSize', 4096)
  return pair
}

/** Waits for bytes, or for the end, with the descriptors that come with them. */
export async function receivePassed(socket: Socket, into: Uint8Array = new Uint8Array(65_536)): Promise<Passed> {
  let passed: Passed | null = null
  await until(() => (passed = socket.receiveDescriptors(into)) !== null, socket)
  return passed!
}

/** As {@link receivePassed}; the descriptors are closed at the end of the test. */
export async function receiveText(t: ExecutionContext, socket: Socket): Promise<[string, ...number[]]> {
  const into = new Uint8Array(65_536)
  const { length, descriptors } = await receivePassed(socket, into)
  closeAllAtEnd(t, descriptors)
  return [Buffer.from(into.subarray(0, length)).toString(), ...descriptors]
}

/** Closes descriptors at the end of the test, unless it has. */
export function closeAllAtEnd(t: ExecutionContext, descriptors: readonly number[]): void {
  t.teardown(() => closeAll(descriptors))
}

/** Closes descriptors; closed ones are skipped. */
export function closeAll(descriptors: readonly number[]): void {
  for (const fd of descriptors) {
    try {
      closeSync(fd)
    } catch {
      // A socket that has taken it over has closed it.
    }
  }
}

/** What a descriptor refers to: two of one open file are the same. */
export function identity(fd: number): string {
  const { dev, ino } = fstatSync(fd)
  return `${dev}:${ino}`
}
