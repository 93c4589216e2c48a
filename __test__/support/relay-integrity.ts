import { type Hash, createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { Listener, Multiplexer, Socket, SocketClosedError, relay } from 'm-socket'

import { Random } from './hammer/random.js'
import { abstractName } from './unix.js'
import { acceptNext, until } from './waiting.js'

/** How a conversation ends: regularly, by a reset of one peer, or by the program. */
export type Ending = 'ends' | 'reset' | 'abort' | 'close'

export interface Outcome {
  readonly ending: Ending
  /** The bytes that came out of the relay. */
  readonly bytes: number
}

/** All streams are parts of it, beginning anywhere; its length divides no piece. */
const BLOCK = (() => {
  const block = Buffer.alloc(1_048_573)
  let state = 12_345
  for (let index = 0; index < block.length; index++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    block[index] = state >>> 16
  }
  return block
})()
const TWICE = Buffer.concat([BLOCK, BLOCK])

const BUFFER_SIZES = [undefined, undefined, 4096, 20_000, 65_536, 1 << 20]
const SMALL_BUFFER = 65_536
/** What a conversation over small buffers has at most: the kernel acknowledges them late. */
const MOST_OF_SMALL = 300_000

/** What came is not what was sent. */
class CorruptionError extends Error {}

/** One end of a conversation, whose other end is relayed. */
class Peer {
  readonly sent = createHash('sha1')
  readonly received = createHash('sha1')
  sentBytes = 0
  receivedBytes = 0
  error: Error | undefined
  #isEnded = false

  constructor(
    readonly socket: Socket,
    /** How many bytes it sends, and how many its partner does. */
    readonly totals: readonly [number, number],
    readonly random: Random,
    /** Where its stream begins in the block, and where that of its partner does. */
    readonly offsets: readonly [number, number],
    readonly resetAt: number,
  ) {}

  /** Sends all and receives to the end, by random pieces and with random pauses. */
  async drive(): Promise<void> {
    using multiplexer = new Multiplexer(this.socket)
    const largest = Math.max(this.random.size(1 << 20), Math.max(...this.totals) >> 9)
    try {
      if (this.totals[0] === 0) this.socket.shutdown()
      for (let turn = 1; ; turn++) {
        const isSending = this.#send(this.random.size(largest))
        const isReceiving = this.#receive(this.random.size(largest))
        if (this.#isEnded && this.sentBytes === this.totals[0]) return
        if (this.sentBytes + this.receivedBytes >= this.resetAt) return this.socket.reset()
        if (!isSending && !isReceiving) await multiplexer.wait()
        else if (turn % 16 === 0) await multiplexer.wait(0)
        if (this.random.chance(0.005)) await sleep(this.random.integer(0, 3))
      }
    } catch (error) {
      this.error = error as Error
    }
  }

  #send(most: number): boolean {
    const left = this.totals[0] - this.sentBytes
    if (left === 0) return false
    const start = (this.offsets[0] + this.sentBytes) % BLOCK.length
    const piece = TWICE.subarray(start, start + Math.min(most, left, BLOCK.length))
    const status = this.socket.send(piece)
    if (status === 'closed') throw new SocketClosedError()
    if (status === 'not-sent') return false
    this.sentBytes += piece.length
    this.sent.update(piece)
    if (this.sentBytes === this.totals[0]) this.socket.shutdown()
    return true
  }

  #receive(most: number): boolean {
    if (this.#isEnded) return false
    const into = Buffer.allocUnsafe(most)
    const count = this.socket.receive(into)
    if (count === null) return false
    if (count === 0) {
      this.#isEnded = true
      return true
    }
    const start = (this.offsets[1] + this.receivedBytes) % BLOCK.length
    if (into.compare(TWICE, start, start + count, 0, count) !== 0) {
      throw new CorruptionError(`other bytes than were sent, within ${count} from ${this.receivedBytes} on`)
    }
    this.receivedBytes += count
    this.received.update(into.subarray(0, count))
    return true
  }
}

/** Two peers that talk through a relay, as a seed says. Throws when other bytes come than were sent. */
export async function converse(seed: number, most: number, ending: Ending = 'ends'): Promise<Outcome> {
  const random = new Random(seed)
  const buffers = [0, 1, 2, 3].map(() => random.pick(BUFFER_SIZES))
  const isSmall = buffers.some((size) => size !== undefined && size < SMALL_BUFFER)
  const largest = isSmall ? Math.min(most, MOST_OF_SMALL) : most
  const size = (): number => (random.chance(0.5) ? random.integer(0, largest) : random.size(largest) - 1)
  const totals = [size(), size()] as const
  const offsets = [random.integer(0, BLOCK.length - 1), random.integer(0, BLOCK.length - 1)] as const
  const stopAt = Math.max(1, random.integer(0, totals[0] + totals[1]))
  const resets = random.integer(0, 1)
  const resetAt = (index: number): number => (ending === 'reset' && resets === index ? stopAt : Infinity)
  const [left, a] = await pair(random, buffers[0], buffers[1])
  const [right, b] = await pair(random, buffers[2], buffers[3])
  const one = new Peer(left, totals, new Random(seed + 1), offsets, resetAt(0))
  const other = new Peer(right, [totals[1], totals[0]], new Random(seed + 2), [offsets[1], offsets[0]], resetAt(1))
  const controller = new AbortController()
  try {
    const settled = relay(a, b, { signal: controller.signal }).then(
      (moved) => moved,
      (error: Error & { aToB: number; bToA: number }) => error,
    )
    const stopping = stop()
    const [moved] = await Promise.all([settled, one.drive(), other.drive()])
    await stopping
    for (const { error } of [one, other]) if (error instanceof CorruptionError) throw error
    if (ending === 'ends') checkRegular(moved)
    return { ending, bytes: one.receivedBytes + other.receivedBytes }
  } finally {
    for (const socket of [left, right, a, b]) socket.reset()
  }

  async function stop(): Promise<void> {
    if (ending !== 'abort' && ending !== 'close') return
    const isDone = (): boolean => one.receivedBytes + other.receivedBytes >= stopAt || a.state === 'closed'
    await until(isDone)
    if (ending === 'abort') controller.abort()
    else random.pick([a, b]).close()
  }

  function checkRegular(moved: unknown): void {
    const wanted = JSON.stringify({ aToB: totals[0], bToA: totals[1] })
    if (moved instanceof Error) throw moved
    if (one.error ?? other.error) throw one.error ?? other.error
    if (JSON.stringify(moved) !== wanted) throw new Error(`${JSON.stringify(moved)} were moved of ${wanted}`)
    for (const [sender, receiver] of [
      [one, other],
      [other, one],
    ] as const) {
      if (hex(sender.sent) !== hex(receiver.received)) throw new Error('other bytes came than were sent')
    }
  }
}

function hex(hash: Hash): string {
  return hash.copy().digest('hex')
}

/** A connected pair over TCP or a Unix socket. */
async function pair(random: Random, near?: number, far?: number): Promise<[Socket, Socket]> {
  const place = random.chance(1 / 3) ? { path: abstractName() } : { host: '127.0.0.1' }
  const sized = (size: number | undefined): object =>
    size === undefined ? {} : { sendBufferSize: size, receiveBufferSize: size }
  using listener = Listener.bind({ ...place, ...sized(far) } as never)
  const { address } = listener
  const to = 'path' in address! ? { path: address.path } : { host: '127.0.0.1', port: address!.port, noDelay: true }
  const client = Socket.connect({ ...to, ...sized(near) } as never)
  return [client, await acceptNext(listener)]
}
