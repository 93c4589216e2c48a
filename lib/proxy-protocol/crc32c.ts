/** Castagnoli's polynomial, reflected: RFC 3720, appendix B.4. */
const POLYNOMIAL = 0x82f63b78

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0)
  return remainder
})

/** CRC-32C: RFC 9260, appendix A. */
export function crc32c(bytes: Uint8Array): number {
  let remainder = ~0
  for (const byte of bytes) remainder = (remainder >>> 8) ^ TABLE[(remainder ^ byte) & 0xff]!
  return ~remainder >>> 0
}
