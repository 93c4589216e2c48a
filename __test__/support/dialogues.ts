// A load of dialogues: connections that exchange some messages and end, one after the other.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type NetConnectOpts, type Socket, connect } from 'node:net'

/** What became of the dialogues. */
export interface Dialogues {
  /** How many were held to their end. */
  held: number
  /** Why others were cut, or went wrong. */
  readonly failures: string[]
}

const MESSAGES = 5
const BYTES = 64

/**
 * Holds dialogues with an echo server, `clients` at a time, until `isOver` is true; each has several messages, and takes
 * place on a connection of its own.
 */
export async function holdDialogues(to: NetConnectOpts, clients: number, isOver: () => boolean): Promise<Dialogues> {
  const dialogues: Dialogues = { held: 0, failures: [] }
  const client = async (): Promise<void> => {
    while (!isOver()) {
      try {
        await hold(to)
        dialogues.held++
      } catch (error) {
        dialogues.failures.push(String(error))
      }
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return dialogues
}

async function hold(to: NetConnectOpts): Promise<void> {
  const socket = connect(to)
  try {
    await once(socket, 'connect')
    for (let message = 0; message < MESSAGES; message++) {
      const sent = randomBytes(BYTES)
      socket.write(sent)
      const received = await read(socket, BYTES)
      if (!received.equals(sent)) throw new Error(`other bytes came back: message ${message}`)
    }
    socket.end()
    await once(socket.resume(), 'end')
  } finally {
    socket.destroy()
  }
}

/** Exactly so many bytes. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let missing = length
  while (missing > 0) {
    const chunk = socket.read() as Buffer | null
    if (chunk) {
      chunks.push(chunk)
      missing -= chunk.length
      continue
    }
    if (socket.readableEnded) throw new Error(`the dialogue was cut, with ${missing} bytes missing`)
    await Promise.race([once(socket, 'readable'), once(socket, 'end')])
  }
  return Buffer.concat(chunks)
}
