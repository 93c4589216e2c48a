import type { Writable } from 'node:stream'

import { sleep } from './timing.js'

/** How often in a row nothing may have moved until a stream counts as stalled. */
const STILLS = 10

/** Waits until a stream that is written to moves no more; resolves with the bytes that its reader has not taken. */
export async function untilStalled(stream: Writable): Promise<number> {
  let left = stream.writableLength
  for (let stills = 0; stills < STILLS && left > 0;) {
    await sleep(50)
    stills = stream.writableLength === left ? stills + 1 : 0
    left = stream.writableLength
  }
  return left
}
