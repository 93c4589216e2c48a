import { type Event, type Listener, Multiplexer, type Socket, type Target } from 'm-socket'

/** Long enough for a busy machine, short enough to name the test that hangs. */
const PATIENCE = 100_000

/**
 * Waits with the multiplexer until `holds`, which is asked at once and after each wait; `during` sees the events.
 * Fails when that takes too long.
 */
export async function waitUntil(
  multiplexer: Multiplexer,
  holds: () => boolean,
  during: (events: Event[]) => void = () => {},
): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for: ${holds}`)
    // A short wait, since `holds` may be about something that is no event here.
    during(await multiplexer.wait(50))
  }
}

/** As {@link waitUntil}, with a multiplexer of its own, or none to wait for anything else. */
export async function until(holds: () => boolean, ...targets: Target[]): Promise<void> {
  using multiplexer = new Multiplexer(...targets)
  await waitUntil(multiplexer, holds)
}

/** The next event of one target: whatever it says. */
export async function nextEvent(target: Target, interest: 'r' | 'w' | 'rw' = 'rw'): Promise<Omit<Event, 'target'>> {
  using multiplexer = new Multiplexer()
  multiplexer.add(target, interest)
  const [event] = await multiplexer.wait(PATIENCE)
  if (!event) throw new Error('waited in vain for an event')
  const { readable, writable, readEnded, hangup, error } = event
  return { readable, writable, readEnded, hangup, error }
}

/** Accepts, as soon as somebody comes. */
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

/** Receives `length` bytes, and fails when the end comes before. The socket must be in no multiplexer. */
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

/** Receives all until the peer's end. The socket must be in no multiplexer. */
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
