import type { Writable } from 'node:stream'

import { sleep } from './timing.js'

/** After so many checks without progress a stream counts as stalled. */
const CHECKS = 10

/** Waits until a writable stream makes no more progress; resolves with the number of bytes it still buffers. */
export async function untilStalled(stream: Writable): Promise<number> {
  let left = stream.writableLength
  for (let checks = 0; checks < CHECKS && left > 0;) {
    await sleep(50)
    checks = stream.writableLength === left ? checks + 1 : 0
    left = stream.writableLength
  }
  return left
}
