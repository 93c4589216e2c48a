import { once } from 'node:events'

import type { ExecutionContext } from 'ava'
import { type Socket, type SocketStream, type ToDuplexOptions, toDuplex } from 'm-socket'

import { type Family, type Pair, connectedPair, smallBufferPair } from './pair.js'
import { sleep } from './timing.js'

/** The high water mark of the streams below. */
export const HIGH_WATER_MARK = 65536

/** A stream and the raw socket that it is connected to. */
export interface Ends {
  readonly duplex: SocketStream
  readonly peer: Socket
}

/** Both ends of a connection; they are closed after the test. */
export async function duplexPair(
  t: ExecutionContext,
  family: Family = 'IPv4',
  options: ToDuplexOptions = {},
): Promise<Ends> {
  return over(t, await connectedPair(t, family), options)
}

/** The same over a connection whose kernel buffers are small. */
export async function narrowDuplexPair(t: ExecutionContext, options: ToDuplexOptions = {}): Promise<Ends> {
  return over(t, await smallBufferPair(t), options)
}

function over(t: ExecutionContext, { client, server }: Pair, options: ToDuplexOptions): Ends {
  const duplex = toDuplex(server, { highWaterMark: HIGH_WATER_MARK, ...options })
  t.teardown(() => void duplex.on('error', () => {}).destroy())
  return { duplex, peer: client }
}

/** Resolves with the stream's error. */
export async function failure(duplex: SocketStream): Promise<NodeJS.ErrnoException> {
  const [error] = (await once(duplex, 'error')) as [NodeJS.ErrnoException]
  return error
}

/** Reads to the end. Iteration would destroy the stream there, and the half that writes with it. */
export async function collected(duplex: SocketStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(duplex, 'end')
  return Buffer.concat(chunks)
}

/** Resolves once 'close' has been emitted, which comes later than `closed`. */
export async function closing(duplex: NodeJS.EventEmitter): Promise<void> {
  await new Promise<void>((resolve) => duplex.once('close', () => resolve()))
}

/** Lets Node's loop turn at least this often. */
export async function turns(count: number): Promise<void> {
  while (count-- > 0) await sleep(1)
}

/** The bytes in pieces of `length`. */
export function* cut(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}
