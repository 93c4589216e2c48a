import test from 'ava'

import { type ByteSource, ReceiveBuffer } from '../../lib/loop/receive-buffer.js'

/** A source of messages of one length, each of which has come whole before it is received. */
class Messages implements ByteSource {
  readonly #length: number

  constructor(length: number) {
    this.#length = length
  }

  receive(into: Uint8Array): number {
    return Math.min(into.length, this.#length)
  }

  receiveChunk(_pool: Uint8Array, _offset: number, length: number): number {
    return Math.min(length, this.#length)
  }
}

for (const length of [1, 64, 2047, 2048, 8191, 8192, 16_384, 65_535, 65_536, 131_071]) {
  test(`messages_of_${length}_bytes_do_not_fill_the_pool_after_the_first`, (t) => {
    const buffer = new ReceiveBuffer()
    const source = new Messages(length)
    while (buffer.receive(source)!.length < length);
    for (let count = 0; count < 1000; count++) {
      t.is(buffer.receive(source)!.length, length)
      t.false(buffer.wasFilled)
    }
  })

  test(`a_chunk_of_${length}_bytes_keeps_8_KiB_or_64_times_its_length`, (t) => {
    const buffer = new ReceiveBuffer()
    const source = new Messages(length)
    let chunk
    for (let count = 0; count < 1000; count++) chunk = buffer.receive(source)!
    t.true(chunk!.buffer.byteLength <= Math.max(8192, 64 * length))
  })
}
