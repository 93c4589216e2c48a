// The bytes that the load generator expects from a source: see load/src/pattern.rs.

const PERIOD = 65_521

const U64 = (1n << 64n) - 1n

/** One period of them. */
export function pattern(): Buffer {
  const bytes = Buffer.alloc(PERIOD)
  let state = 0x9e37_79b9_7f4a_7c15n
  for (let at = 0; at < PERIOD; at++) {
    state ^= (state << 13n) & U64
    state ^= state >> 7n
    state ^= (state << 17n) & U64
    bytes[at] = Number((state >> 32n) & 0xffn)
  }
  return bytes
}
