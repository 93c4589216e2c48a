// What both sides of a connection send: bytes that say whose they are and where they stand.

/** Bytes from the program under test to its peer, per connection: more than the kernel takes at once. */
export const UP = 300_000
/** Bytes from the peer. */
export const DOWN = 30_000
/** The peer's side of a connection. */
export const PEER = 200
/** Connections in a run, at the same time. */
export const CONNECTIONS = 3

/** The stream of one side: its first byte is `seed`, and no part of it looks like another one. */
export function pattern(seed, length) {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at++) bytes[at] = seed + at * 31 + (at >> 8) * 7
  return bytes
}

/** Checks a stream as it comes, against the pattern of its first byte. */
export class Checker {
  #expected
  #length
  received = 0
  isRight = true
  seed

  constructor(length) {
    this.#length = length
  }

  read(chunk) {
    if (chunk.length === 0) return
    this.seed ??= chunk[0]
    this.#expected ??= pattern(this.seed, this.#length)
    const end = this.received + chunk.length
    this.isRight &&= this.#expected.subarray(this.received, end).equals(chunk)
    this.received = end
  }
}
