import test from 'ava'
import { SocketError, parseProxyHeader, proxyHeader } from 'm-socket'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const hex = (text: string): Buffer => Buffer.from(SIGNATURE + text.replaceAll(' ', ''), 'hex')
const line = (text: string): Buffer => Buffer.from(`PROXY ${text}`)

/** Each with the number of bytes from which on it is no header. */
const MALFORMED: readonly [title: string, bytes: Buffer, from: number][] = [
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n'), 1],
  ['a request that begins as a header', Buffer.from('POST / HTTP/1.1\r\n'), 2],
  ['PROXY in lower case', Buffer.from('Proxy TCP4 '), 2],
  ['PROXY and no space', Buffer.from('PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n'), 6],
  ['a preface of HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 3],
  ['a hello of TLS', Buffer.from('1603010200', 'hex'), 1],
  ['an unknown protocol', line('UDP4 1.1.1.1 2.2.2.2 1 2\r\n'), 8],
  ['TCP5', line('TCP5 1.1.1.1 2.2.2.2 1 2\r\n'), 10],
  ['two spaces', line('TCP4  1.1.1.1 2.2.2.2 1 2\r\n'), 33],
  ['a tab', line('TCP4 1.1.1.1\t2.2.2.2 1 2\r\n'), 19],
  ['a missing port', line('TCP4 1.1.1.1 2.2.2.2 1\r\n'), 30],
  ['a third port', line('TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n'), 34],
  ['a space at the end', line('TCP4 1.1.1.1 2.2.2.2 1 2 \r\n'), 33],
  ['an IPv6 address in TCP4', line('TCP4 ::1 2.2.2.2 1 2\r\n'), 28],
  ['an IPv4 address in TCP6', line('TCP6 ::1 2.2.2.2 1 2\r\n'), 28],
  ['a leading zero in an address', line('TCP4 1.1.1.01 2.2.2.2 1 2\r\n'), 33],
  ['256 in an address', line('TCP4 1.1.1.256 2.2.2.2 1 2\r\n'), 34],
  ['three parts of an address', line('TCP4 1.1.1 2.2.2.2 1 2\r\n'), 30],
  ['a zone', line('TCP6 fe80::1%1 ::2 1 2\r\n'), 19],
  ['two double colons', line('TCP6 1::2::3 ::2 1 2\r\n'), 28],
  ['a name', line('TCP4 localhost 2.2.2.2 1 2\r\n'), 12],
  ['port 65536', line('TCP4 1.1.1.1 2.2.2.2 65536 2\r\n'), 36],
  ['port 00', line('TCP4 1.1.1.1 2.2.2.2 00 2\r\n'), 33],
  ['a leading zero in a port', line('TCP4 1.1.1.1 2.2.2.2 1 080\r\n'), 34],
  ['a sign', line('TCP4 1.1.1.1 2.2.2.2 +1 2\r\n'), 28],
  ['a hexadecimal port', line('TCP4 1.1.1.1 2.2.2.2 a 2\r\n'), 32],
  ['LF alone', line('TCP4 1.1.1.1 2.2.2.2 1 2\nGET /\r\n'), 31],
  ['CR alone', line('TCP4 1.1.1.1 2.2.2.2 1 2\rGET /\r\n'), 32],
  ['UNKNOWN without a space', line('UNKNOWNx\r\n'), 14],
  ['a line of 108 bytes', line(`${'UNKNOWN '.padEnd(100, 'x')}\r\n`), 107],
  ['a line without an end', line('UNKNOWN '.padEnd(10_000, 'x')), 107],
  ['addresses without an end', line('TCP4 '.padEnd(10_000, '1')), 107],
  ['a broken signature', Buffer.from('\r\n\r\n\0\r\nQUIT\r'), 12],
  ['version 1 in binary', hex('11 11 000c 01010101020202020001 0002'), 13],
  ['version 3', hex('31 11 000c 01010101020202020001 0002'), 13],
  ['command 2', hex('22 11 000c 01010101020202020001 0002'), 13],
  ['family 4', hex('21 41 000c 01010101020202020001 0002'), 14],
  ['transport 3', hex('21 13 000c 01010101020202020001 0002'), 14],
  ['11 bytes of IPv4 addresses', hex(`21 11 000b ${'01'.repeat(11)}`), 27],
  ['35 bytes of IPv6 addresses', hex(`21 21 0023 ${'01'.repeat(35)}`), 51],
  ['215 bytes of paths', hex(`21 31 00d7 ${'01'.repeat(215)}`), 231],
  ['a TLV of one byte', hex('21 00 0001 e0'), 17],
  ['a TLV without its length', hex('21 00 0002 e0 00'), 18],
  ['a TLV that is longer than the header', hex('21 00 0004 e0 0002 00'), 20],
  ['a byte behind the last TLV', hex('21 00 0005 e0 0001 00 00'), 21],
  ['a unique id of 129 bytes', hex(`21 00 0084 05 0081 ${'00'.repeat(129)}`), 148],
  ['a TLV of TLS that is too short', hex('21 00 0007 20 0004 00000000'), 23],
  ['a TLV within that of TLS that is too long', hex('21 00 000c 20 0009 01 00000000 21 0002 00'), 28],
  ['a checksum of 3 bytes', hex('21 00 0006 03 0003 000000'), 22],
  ['a checksum that is wrong', hex('21 00 0007 03 0004 00000000'), 23],
  ['a checksum that is wrong, of LOCAL', hex('20 00 0007 03 0004 00000000'), 23],
  ['two checksums', hex('21 00 000e 03 0004 00000000 03 0004 00000000'), 30],
]

for (const [title, bytes, from] of MALFORMED) {
  test(`a_malformed_header_is_refused_as_early_as_can_be: ${title}`, (t) => {
    t.is(parseProxyHeader(bytes.subarray(0, from - 1)), null)
    for (let length = from; length <= Math.min(bytes.length, from + 300); length++) {
      t.throws(() => parseProxyHeader(bytes.subarray(0, length)), {
        instanceOf: SocketError,
        code: 'ERR_PROXY_HEADER',
        message: /^Malformed PROXY header: /,
      })
    }
  })
}

test('a_checksum_does_not_match_when_any_bit_has_changed', (t) => {
  const address = { address: '192.0.2.1', family: 'IPv4', port: 80 } as const
  const bytes = proxyHeader({
    version: 2,
    command: 'PROXY',
    source: address,
    destination: address,
    authority: 'example.org',
    crc32c: true,
  })
  // Behind the signature, the command, the family and the lengths.
  for (let at = 16; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1 << bit
      let parsed
      try {
        parsed = parseProxyHeader(changed)
      } catch (error) {
        t.is((error as SocketError).code, 'ERR_PROXY_HEADER')
        continue
      }
      // The type of the checksum itself has changed.
      t.true(parsed?.crc32c === undefined, `${at} ${bit}`)
    }
  }
})
