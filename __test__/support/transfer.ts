import { Multiplexer, type Socket } from 'm-socket'

/** Sends all bytes, and then perhaps the end: what the kernel does not take now is queued. */
export function give(socket: Socket, bytes: Uint8Array | string, { end = false } = {}): void {
  socket.sendQueueLimit = Number.MAX_SAFE_INTEGER
  if (socket.send(bytes) === 'closed') throw new Error('it is closed')
  if (end) socket.shutdown()
}

/** What was received until the end, or until the connection broke. */
export interface Received {
  readonly bytes: Buffer
  readonly error: NodeJS.ErrnoException | undefined
}

/** Receives until the peer's end or an error. The socket must be in no multiplexer. */
export async function receiveAll(socket: Socket): Promise<Received> {
  using multiplexer = new Multiplexer(socket)
  const chunks: Buffer[] = []
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(65536)
      const count = socket.receive(chunk)
      if (count === 0) return { bytes: Buffer.concat(chunks), error: undefined }
      if (count === null) await multiplexer.wait()
      else chunks.push(chunk.subarray(0, count))
    }
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error: error as NodeJS.ErrnoException }
  }
}
