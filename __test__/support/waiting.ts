import { type Listener, Multiplexer, type ReadyEvent, type Socket, type Target } from 'm-socket'

/** In milliseconds: long enough for a busy machine, shorter than ava's timeout, which would not name the condition. */
const PATIENCE = 100_000

/**
 * Waits with the multiplexer until `condition` is true; it is checked at once and after each wait. `onEvents` gets the
 * events of each wait. Fails after a timeout.
 */
export async function waitUntil(
  multiplexer: Multiplexer,
  condition: () => boolean,
  onEvents: (events: ReadyEvent[]) => void = () => {},
): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never became true: ${condition}`)
    // A short wait, because `condition` may depend on more than events of this multiplexer.
    onEvents(await multiplexer.wait(50))
  }
}

/** As {@link waitUntil}, with a new multiplexer of `targets`. */
export async function until(condition: () => boolean, ...targets: Target[]): Promise<void> {
  using multiplexer = new Multiplexer(...targets)
  await waitUntil(multiplexer, condition)
}

/** The flags of the next event of a target. */
export async function nextEvent(
  target: Target,
  interest: 'r' | 'w' | 'rw' = 'rw',
): Promise<Omit<ReadyEvent, 'target'>> {
  using multiplexer = new Multiplexer()
  multiplexer.add(target, interest)
  const [event] = await multiplexer.wait(PATIENCE)
  if (!event) throw new Error('no event came')
  const { readable, writable, readEnded, hangup, error } = event
  return { readable, writable, readEnded, hangup, error }
}

/** Waits for a connection and accepts it. */
export async function acceptNext(listener: Listener): Promise<Socket> {
  let accepted: Socket | null = null
  await until(() => (accepted = listener.accept()) !== null, listener)
  return accepted!
}

/** Waits for the outcome of a connect: `'open'` or `'closed'`. */
export async function connectOutcome(socket: Socket): Promise<Socket['state']> {
  await until(() => socket.state !== 'connecting', socket)
  return socket.state
}

/** Receives `length` bytes; fails if the peer ends before. The socket must be in no multiplexer. */
export async function receiveExactly(socket: Socket, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let filled = 0
  await until(() => {
    while (filled < length) {
      const count = socket.receive(bytes.subarray(filled))
      if (count === null) return false
      if (count === 0) throw new Error(`the end came after ${filled} of ${length} bytes`)
      filled += count
    }
    return true
  }, socket)
  return bytes
}

/** Receives everything until the peer's end. The socket must be in no multiplexer. */
export async function receiveToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  await until(() => {
    for (;;) {
      const chunk = Buffer.alloc(65536)
      const count = socket.receive(chunk)
      if (count === null) return false
      if (count === 0) return true
      chunks.push(chunk.subarray(0, count))
    }
  }, socket)
  return Buffer.concat(chunks)
}
