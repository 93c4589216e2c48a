import { SocketClosedError, toDuplex, toWeb } from 'm-socket'

import type { Side } from './side.js'

/** The largest write. */
const MOST = 2 ** 20

/** Begins to read in the way of this side; for streams, also what they write. */
export function startReading(side: Side): void {
  const { reading } = side
  if (reading === 'read') void ends(side, readByPromises(side))
  else if (reading === 'loop') void ends(side, loop(side))
  else if (reading === 'duplex') runDuplex(side)
  else if (reading === 'web') runWeb(side)
}

/** A reader ends with the peer's end, or with an error that says why not. */
async function ends(side: Side, reader: Promise<void>): Promise<void> {
  try {
    await reader
    // A web stream ends when its connection is closed here, too.
    if (!side.ended && !side.isCareless) side.end()
  } catch (error) {
    const isKnown = error === side.error || error instanceof SocketClosedError
    if (!isKnown && side.closed > 0) side.problem(`a read fails with ${(error as Error).message}`)
  }
}

async function readByPromises(side: Side): Promise<void> {
  for (;;) {
    const into = Buffer.allocUnsafe(side.random.size(100_000))
    const count = await side.connection!.read(into)
    if (count === null) return
    if (count > into.length) side.problem(`read ${count} bytes into ${into.length}`)
    side.receive(into.subarray(0, count))
    await rest(side)
  }
}

async function loop(side: Side): Promise<void> {
  for await (const chunk of side.connection!) {
    side.receive(chunk)
    await rest(side)
  }
}

/** Reads slowly at times. */
async function rest({ random }: Side): Promise<void> {
  if (random.chance(0.02)) await new Promise((resolve) => setTimeout(resolve, random.integer(0, 20)))
}

function runDuplex(side: Side): void {
  const duplex = toDuplex(side.connection!)
  duplex.on('data', (chunk: Buffer) => side.receive(chunk))
  duplex.on('end', () => {
    side.end()
    side.hasEnded = true
    duplex.end()
  })
  duplex.on('error', (error) => side.onStreamError(error))
  for (let count = side.random.integer(0, 4); count > 0; count--) {
    const bytes = side.out.next(side.random.size(MOST / 4))
    side.out.accepted += bytes.length
    duplex.write(bytes)
  }
  setTimeout(
    () => {
      if (duplex.destroyed) return
      if (side.random.chance(0.2)) {
        side.cut()
        duplex.destroy()
      } else {
        side.hasEnded = true
        duplex.end()
      }
    },
    side.random.integer(0, 500),
  ).unref()
}

function runWeb(side: Side): void {
  const { readable, writable, closed } = toWeb(side.connection!)
  closed.catch(() => {})
  const reader = (async () => {
    for await (const chunk of readable) side.receive(chunk as Uint8Array)
  })()
  void ends(side, reader)
  void (async () => {
    const writer = writable.getWriter()
    try {
      for (let count = side.random.integer(0, 4); count > 0; count--) {
        const bytes = side.out.next(side.random.size(MOST / 4))
        side.out.accepted += bytes.length
        await writer.write(bytes)
      }
      side.hasEnded = true
      await writer.close()
    } catch {
      // The connection broke, or the peer's end has ended our half: the bytes are lost.
      side.cut()
    }
  })()
}
