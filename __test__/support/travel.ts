import { type Hash, createHash } from 'node:crypto'
import { MessageChannel, Worker } from 'node:worker_threads'

import { type DetachedSocket, Listener, Multiplexer, Socket } from 'm-socket'

import { fixturePath } from './fixture.js'
import { abstractName } from './unix.js'

/** A socket on its way to the next worker. */
export interface Leg {
  readonly socket: DetachedSocket
  /** What the last worker has received and not sent. */
  readonly rest: Uint8Array
  /** How many moves are left. */
  readonly moves: number
  /** How many bytes the stream has. */
  readonly total: number
  /** How many bytes a worker receives before it gives the socket on, at least. */
  readonly after: number
}

/** What a journey was: `moves` are those that were made. */
export interface Journey {
  readonly moves: number
  readonly sent: string
  readonly received: string
  readonly bytes: number
}

const PIECE = 65_536
const BLOCK = Buffer.from(Uint32Array.from({ length: 262_147 }, (_, at) => Math.imul(at + 1, 2_654_435_761)).buffer)

/** Sends `bytes` to an echo server whose socket moves between two workers, `moves` times, and receives what comes back. */
export async function travel(moves: number, bytes: number, family: 'tcp' | 'unix'): Promise<Journey> {
  const { port1, port2 } = new MessageChannel()
  const start = (neighbour: typeof port1, by: string): Worker =>
    new Worker(fixturePath('travelling-worker.ts'), { workerData: { neighbour, by }, transferList: [neighbour] })
  const workers = [start(port1, 'handlers'), start(port2, 'multiplexer')]
  const arrived = new Promise<number>((resolve, reject) => {
    for (const worker of workers) {
      worker.on('message', ({ error, left }: { error?: string; left?: number }) =>
        left === undefined ? reject(new Error(error)) : resolve(left),
      )
      worker.on('error', reject)
    }
  })
  const [client, server] = await connected(family)
  try {
    const leg: Leg = { socket: server.detach(), rest: new Uint8Array(0), moves, total: bytes, after: 12_345 }
    workers[0]!.postMessage(leg)
    const [left, hashes] = await Promise.all([arrived, converse(client, bytes)])
    return { moves: moves - left, bytes, ...hashes }
  } finally {
    client.reset()
    for (const worker of workers) await worker.terminate()
  }
}

async function connected(family: 'tcp' | 'unix'): Promise<[Socket, Socket]> {
  // A leg is not much longer than it is to be: what one turn receives has a bound.
  const receiveBufferSize = 131_072
  using listener = Listener.bind({
    ...(family === 'unix' ? { path: abstractName() } : { host: '127.0.0.1' }),
    receiveBufferSize,
  })
  const { address } = listener
  const client = Socket.connect('path' in address! ? { path: address.path } : { port: address!.port })
  for await (const server of listener) return [client, server]
  throw new Error('it is closed')
}

/** Sends all and receives to the end, at the same time. */
async function converse(socket: Socket, bytes: number): Promise<{ sent: string; received: string }> {
  using multiplexer = new Multiplexer(socket)
  const [sent, received] = [createHash('sha1'), createHash('sha1')]
  const into = Buffer.alloc(4 * PIECE)
  let left = bytes
  for (let turn = 1; ; turn++) {
    const isSending = left > 0 && send()
    const count = socket.receive(into)
    if (count === 0) return { sent: hex(sent), received: hex(received) }
    if (count !== null) received.update(into.subarray(0, count))
    if (count === null && !isSending) await multiplexer.wait()
    else if (turn % 16 === 0) await multiplexer.wait(0)
  }

  function send(): boolean {
    const at = (bytes - left) % (BLOCK.length - PIECE)
    const piece = BLOCK.subarray(at, at + Math.min(PIECE, left))
    if (socket.send(piece) === 'not-sent') return false
    sent.update(piece)
    left -= piece.length
    if (left === 0) socket.shutdown()
    return true
  }
}

function hex(hash: Hash): string {
  return hash.digest('hex')
}
