// Headers byte by byte: as other programs write them, and as they are written here.

import test, { type ExecutionContext } from 'ava'
import { type ProxyHeader, parseProxyHeader, proxyHeader } from 'm-socket'

const SIGNATURE = '0d0a0d0a000d0a515549540a'
const inet = (address: string, port: number) =>
  ({ address, family: address.includes(':') ? 'IPv6' : 'IPv4', port }) as const

/** Each with the bytes that it is written as: text, or hexadecimal. */
const WRITTEN: readonly [title: string, header: ProxyHeader, written: string][] = [
  [
    'version 1, IPv4',
    { version: 1, command: 'PROXY', source: inet('192.0.2.1', 56324), destination: inet('198.51.100.7', 443) },
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n',
  ],
  [
    'version 1, IPv6',
    { version: 1, command: 'PROXY', source: inet('2001:db8::1', 1), destination: inet('::1', 65535) },
    'PROXY TCP6 2001:db8::1 ::1 1 65535\r\n',
  ],
  [
    'version 1, the longest line',
    {
      version: 1,
      command: 'PROXY',
      source: inet('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 65535),
      destination: inet('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 65535),
    },
    `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`,
  ],
  [
    'version 1, IPv4 mapped to IPv6',
    { version: 1, command: 'PROXY', source: inet('::ffff:192.0.2.1', 0), destination: inet('::', 80) },
    'PROXY TCP6 ::ffff:192.0.2.1 :: 0 80\r\n',
  ],
  ['version 1, UNKNOWN', { version: 1, command: 'PROXY' }, 'PROXY UNKNOWN\r\n'],
  [
    'version 2, IPv4',
    { version: 2, command: 'PROXY', source: inet('192.0.2.1', 56324), destination: inet('198.51.100.7', 443) },
    `${SIGNATURE}21 11 000c c0000201 c6336407 dc04 01bb`,
  ],
  [
    'version 2, IPv6',
    { version: 2, command: 'PROXY', source: inet('2001:db8::1', 1), destination: inet('::1', 65535) },
    `${SIGNATURE}21 21 0024 20010db8000000000000000000000001 00000000000000000000000000000001 0001 ffff`,
  ],
  [
    'version 2, paths',
    { version: 2, command: 'PROXY', source: { path: '\0abstract' }, destination: { path: '/run/a.sock' } },
    `${SIGNATURE}21 31 00d8 006162737472616374${'00'.repeat(99)} 2f72756e2f612e736f636b${'00'.repeat(97)}`,
  ],
  [
    'version 2, an unnamed socket',
    { version: 2, command: 'PROXY', source: { path: '' }, destination: { path: '/a' } },
    `${SIGNATURE}21 31 00d8 ${'00'.repeat(108)} 2f61${'00'.repeat(106)}`,
  ],
  ['version 2, unspecified', { version: 2, command: 'PROXY' }, `${SIGNATURE}21 00 0000`],
  ['version 2, LOCAL', { version: 2, command: 'LOCAL' }, `${SIGNATURE}20 00 0000`],
  ['ALPN', { version: 2, command: 'PROXY', alpn: 'h2' }, `${SIGNATURE}21 00 0005 01 0002 6832`],
  ['ALPN of any bytes', { version: 2, command: 'PROXY', alpn: '\x8a\xff' }, `${SIGNATURE}21 00 0005 01 0002 8aff`],
  ['authority', { version: 2, command: 'PROXY', authority: 'é.de' }, `${SIGNATURE}21 00 0008 02 0005 c3a92e6465`],
  ['checksum', { version: 2, command: 'LOCAL', crc32c: true }, `${SIGNATURE}20 00 0007 03 0004 a9b87e8f`],
  ['unique id', { version: 2, command: 'PROXY', uniqueId: Buffer.from('id') }, `${SIGNATURE}21 00 0005 05 0002 6964`],
  ['network namespace', { version: 2, command: 'PROXY', netns: 'ns' }, `${SIGNATURE}21 00 0005 30 0002 6e73`],
  [
    'TLS',
    {
      version: 2,
      command: 'PROXY',
      ssl: { client: 7, verify: 0, version: 'TLSv1.3', cn: 'c', cipher: 'x', sigAlg: 'RSA-SHA256', keyAlg: 'RSA2048' },
    },
    `${SIGNATURE}21 00 0031 20 002e 07 00000000 21 0007 544c5376312e33 22 0001 63 23 0001 78` +
      '24 000a 5253412d534841323536 25 0007 52534132303438',
  ],
  [
    'what has no name',
    {
      version: 2,
      command: 'PROXY',
      tlvs: [
        { type: 0xe0, value: Buffer.from('a') },
        { type: 0xea, value: Buffer.alloc(0) },
      ],
    },
    `${SIGNATURE}21 00 0007 e0 0001 61 ea 0000`,
  ],
]

const bytesOf = (written: string): Buffer =>
  written.startsWith('PROXY') ? Buffer.from(written) : Buffer.from(written.replaceAll(' ', ''), 'hex')

for (const [title, header, written] of WRITTEN) {
  test(`a_header_is_written_and_parsed: ${title}`, (t) => {
    const bytes = bytesOf(written)
    t.is(proxyHeader(header).toString('hex'), bytes.toString('hex'))
    t.deepEqual(parseProxyHeader(bytes), { ...header, length: bytes.length })
    t.deepEqual(parseProxyHeader(Buffer.concat([bytes, Buffer.from('GET /')])), { ...header, length: bytes.length })
  })

  test(`each_part_of_a_header_is_incomplete: ${title}`, (t) => {
    const bytes = bytesOf(written)
    for (let length = 0; length < bytes.length; length++) t.is(parseProxyHeader(bytes.subarray(0, length)), null)
  })
}

/** Written otherwise than here, and what is parsed. */
const PARSED: readonly [title: string, bytes: Buffer, header: ProxyHeader][] = [
  [
    'IPv6 in upper case and in full',
    Buffer.from('PROXY TCP6 2001:0DB8:0:0:0:0:0:00AB ::FFFF:1.2.3.4 1 2\r\n'),
    { version: 1, command: 'PROXY', source: inet('2001:db8::ab', 1), destination: inet('::ffff:1.2.3.4', 2) },
  ],
  [
    'UNKNOWN with addresses',
    Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'),
    { version: 1, command: 'PROXY' },
  ],
  ['UNKNOWN with anything', Buffer.from('PROXY UNKNOWN \r \n x\r\n'), { version: 1, command: 'PROXY' }],
  ['UNKNOWN of 107 bytes', Buffer.from(`${'PROXY UNKNOWN '.padEnd(105, 'x')}\r\n`), { version: 1, command: 'PROXY' }],
  ['datagrams of IPv4', v2('21', '12', '00'.repeat(12)), { version: 2, command: 'PROXY' }],
  ['datagrams of paths', v2('21', '32', '61'.repeat(216)), { version: 2, command: 'PROXY' }],
  ['an unspecified transport', v2('21', '20', '01'.repeat(36)), { version: 2, command: 'PROXY' }],
  ['an unspecified family', v2('21', '01', '040000'), { version: 2, command: 'PROXY' }],
  [
    'padding',
    v2('21', '00', '04 0003 000000 e0 0000'),
    { version: 2, command: 'PROXY', tlvs: [{ type: 0xe0, value: Buffer.alloc(0) }] },
  ],
  ['LOCAL with addresses', v2('20', '11', '01'.repeat(12)), { version: 2, command: 'LOCAL' }],
  [
    'LOCAL with addresses and a name',
    v2('20', '11', `${'01'.repeat(12)} 02 0001 61`),
    { version: 2, command: 'LOCAL', authority: 'a' },
  ],
  ['LOCAL with an unknown family', v2('20', 'ff', 'ffffff'), { version: 2, command: 'LOCAL' }],
  ['LOCAL with less than its addresses', v2('20', '21', 'ffffff'), { version: 2, command: 'LOCAL' }],
  ['LOCAL with a wrong TLV', v2('20', '00', '02 ffff 61'), { version: 2, command: 'LOCAL' }],
  [
    'a field that comes twice',
    v2('21', '00', '02 0001 61 02 0001 62'),
    { version: 2, command: 'PROXY', authority: 'a', tlvs: [{ type: 2, value: Buffer.from('b') }] },
  ],
  [
    'a path that fills its field',
    v2('21', '31', `${'61'.repeat(108)} 62${'00'.repeat(107)}`),
    { version: 2, command: 'PROXY', source: { path: 'a'.repeat(108) }, destination: { path: 'b' } },
  ],
  [
    'something behind the end of a path',
    v2('21', '31', `6100${'78'.repeat(106)} 62${'00'.repeat(107)}`),
    { version: 2, command: 'PROXY', source: { path: 'a' }, destination: { path: 'b' } },
  ],
  [
    'TLS with a field that has no name, and one twice',
    v2('21', '00', '20 0011 01 00000001 2f 0001 61 22 0001 62 22 0001 63'),
    {
      version: 2,
      command: 'PROXY',
      ssl: {
        client: 1,
        verify: 1,
        cn: 'b',
        tlvs: [
          { type: 0x2f, value: Buffer.from('a') },
          { type: 0x22, value: Buffer.from('c') },
        ],
      },
    },
  ],
]

for (const [title, bytes, header] of PARSED) {
  test(`a_header_is_parsed: ${title}`, (t) => {
    t.deepEqual(parseProxyHeader(bytes), { ...header, length: bytes.length })
  })
}

test('what_is_parsed_does_not_change_with_the_bytes', (t) => {
  const bytes = proxyHeader({
    version: 2,
    command: 'PROXY',
    uniqueId: Buffer.from('id'),
    tlvs: [{ type: 0xe0, value: Buffer.from('v') }],
  })
  const { uniqueId, tlvs } = parseProxyHeader(bytes)!
  bytes.fill(0)
  t.is(uniqueId!.toString(), 'id')
  t.is(tlvs![0]!.value.toString(), 'v')
})

test('a_header_that_was_parsed_can_be_written', (t) => {
  for (const [, header, written] of WRITTEN) {
    t.is(proxyHeader(parseProxyHeader(bytesOf(written))!).toString('hex'), proxyHeader(header).toString('hex'))
  }
})

test('a_part_of_an_array_is_parsed_and_a_Uint8Array_too', (t) => {
  const line = Buffer.from('..PROXY UNKNOWN\r\n')
  t.is(parseProxyHeader(new Uint8Array(line).subarray(2))!.length, 15)
  for (const wrong of [undefined, null, 'PROXY UNKNOWN\r\n', new ArrayBuffer(2), new DataView(new ArrayBuffer(1))]) {
    t.throws(() => parseProxyHeader(wrong as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
})

test('of_an_IPv4_and_an_IPv6_address_the_first_is_mapped', (t) => {
  for (const version of [1, 2] as const) {
    const bytes = proxyHeader({ version, command: 'PROXY', source: inet('192.0.2.1', 1), destination: inet('::1', 2) })
    const { source, destination } = parseProxyHeader(bytes)!
    t.deepEqual([source, destination], [inet('::ffff:192.0.2.1', 1), inet('::1', 2)])
  }
})

test('a_zone_is_left_out_and_addresses_of_LOCAL_are', (t) => {
  const ends = { source: inet('fe80::1%lo', 1), destination: inet('fe80::2', 2) }
  t.deepEqual(parseProxyHeader(proxyHeader({ version: 2, command: 'PROXY', ...ends }))!.source, inet('fe80::1', 1))
  t.is(proxyHeader({ version: 1, command: 'LOCAL', ...ends }).toString(), 'PROXY UNKNOWN\r\n')
  t.is(proxyHeader({ version: 2, command: 'LOCAL', ...ends }).length, 16)
})

test('a_header_has_at_most_65551_bytes', (t) => {
  const most: ProxyHeader = { version: 2, command: 'LOCAL', tlvs: [{ type: 0xe0, value: Buffer.alloc(65_532) }] }
  const bytes = proxyHeader(most)
  t.is(bytes.length, 65_551)
  t.deepEqual(parseProxyHeader(bytes), { ...most, length: 65_551 })
  refused(t, { ...most, crc32c: true }, 'ERR_OUT_OF_RANGE', /length/)
  refused(
    t,
    { ...most, tlvs: [{ type: 0xe0, value: Buffer.alloc(65_536) }] },
    'ERR_OUT_OF_RANGE',
    /header\.tlvs\[0\]\.value/,
  )
})

const [A, B] = [inet('192.0.2.1', 1), inet('192.0.2.2', 2)]
const P = { version: 2, command: 'PROXY' } as const

/** What cannot be written. */
const REFUSED: readonly [header: unknown, code: string, message: RegExp][] = [
  [undefined, 'ERR_INVALID_ARG_TYPE', /"header" argument/],
  ['PROXY', 'ERR_INVALID_ARG_TYPE', /"header" argument/],
  [{}, 'ERR_INVALID_ARG_VALUE', /header\.version/],
  [{ version: 3, command: 'PROXY' }, 'ERR_INVALID_ARG_VALUE', /header\.version/],
  [{ version: '1', command: 'PROXY' }, 'ERR_INVALID_ARG_VALUE', /header\.version/],
  [{ version: 2 }, 'ERR_INVALID_ARG_VALUE', /header\.command/],
  [{ version: 2, command: 'local' }, 'ERR_INVALID_ARG_VALUE', /header\.command/],
  [{ ...P, sorce: A }, 'ERR_INVALID_ARG_VALUE', /did you mean 'source'/],
  [{ ...P, source: A }, 'ERR_INVALID_ARG_VALUE', /header\.destination/],
  [{ ...P, destination: A }, 'ERR_INVALID_ARG_VALUE', /header\.source/],
  [{ ...P, source: A, destination: { path: '/a' } }, 'ERR_INVALID_ARG_VALUE', /header\.destination/],
  [
    { ...P, source: { ...A, address: 'localhost' }, destination: B },
    'ERR_INVALID_ARG_VALUE',
    /header\.source\.address/,
  ],
  [{ ...P, source: { address: '::1' }, destination: B }, 'ERR_SOCKET_BAD_PORT', /header\.source\.port/],
  [{ ...P, source: { ...A, port: 65_536 }, destination: B }, 'ERR_SOCKET_BAD_PORT', /header\.source\.port/],
  [{ ...P, source: '192.0.2.1', destination: B }, 'ERR_INVALID_ARG_TYPE', /header\.source/],
  [
    { ...P, source: { path: 'a'.repeat(109) }, destination: { path: '' } },
    'ERR_INVALID_ARG_VALUE',
    /header\.source\.path/,
  ],
  [{ ...P, source: { path: 5 }, destination: { path: '' } }, 'ERR_INVALID_ARG_TYPE', /header\.source\.path/],
  [
    { version: 1, command: 'PROXY', source: { path: '' }, destination: { path: '' } },
    'ERR_INVALID_ARG_VALUE',
    /header\.source/,
  ],
  [{ version: 1, command: 'PROXY', alpn: 'h2' }, 'ERR_INVALID_ARG_VALUE', /header\.alpn/],
  [{ version: 1, command: 'PROXY', crc32c: true }, 'ERR_INVALID_ARG_VALUE', /header\.crc32c/],
  [
    { version: 1, command: 'PROXY', tlvs: [{ type: 1, value: Buffer.alloc(1) }] },
    'ERR_INVALID_ARG_VALUE',
    /header\.tlvs/,
  ],
  [{ ...P, crc32c: 1 }, 'ERR_INVALID_ARG_TYPE', /header\.crc32c/],
  [{ ...P, alpn: 'ř' }, 'ERR_INVALID_ARG_VALUE', /header\.alpn/],
  [{ ...P, alpn: Buffer.from('h2') }, 'ERR_INVALID_ARG_TYPE', /header\.alpn/],
  [{ ...P, authority: 5 }, 'ERR_INVALID_ARG_TYPE', /header\.authority/],
  [{ ...P, uniqueId: 'id' }, 'ERR_INVALID_ARG_TYPE', /header\.uniqueId/],
  [{ ...P, uniqueId: Buffer.alloc(129) }, 'ERR_OUT_OF_RANGE', /header\.uniqueId\.length/],
  [{ ...P, netns: null }, 'ERR_INVALID_ARG_TYPE', /header\.netns/],
  [{ ...P, tlvs: {} }, 'ERR_INVALID_ARG_TYPE', /header\.tlvs/],
  [{ ...P, tlvs: [5] }, 'ERR_INVALID_ARG_TYPE', /header\.tlvs\[0\]/],
  [{ ...P, tlvs: [{ type: 256, value: Buffer.alloc(0) }] }, 'ERR_OUT_OF_RANGE', /header\.tlvs\[0\]\.type/],
  [{ ...P, tlvs: [{ type: 1, value: 'h2' }] }, 'ERR_INVALID_ARG_TYPE', /header\.tlvs\[0\]\.value/],
  [{ ...P, tlvs: [{ type: 3, value: Buffer.alloc(4) }] }, 'ERR_INVALID_ARG_VALUE', /crc32c/],
  [{ ...P, ssl: {} }, 'ERR_INVALID_ARG_TYPE', /header\.ssl\.client/],
  [{ ...P, ssl: { client: 256, verify: 0 } }, 'ERR_OUT_OF_RANGE', /header\.ssl\.client/],
  [{ ...P, ssl: { client: 1, verify: -1 } }, 'ERR_OUT_OF_RANGE', /header\.ssl\.verify/],
  [{ ...P, ssl: { client: 1, verify: 0, cipher: 5 } }, 'ERR_INVALID_ARG_TYPE', /header\.ssl\.cipher/],
  [{ ...P, ssl: { client: 1, verify: 0, cyper: 'x' } }, 'ERR_INVALID_ARG_VALUE', /did you mean 'cipher'/],
]

for (const [at, [header, code, message]] of REFUSED.entries()) {
  test(`what_cannot_be_written_is_refused: ${at} ${code} ${message.source}`, (t) => {
    refused(t, header, code, message)
  })
}

function refused(t: ExecutionContext, header: unknown, code: string, message: RegExp): void {
  t.throws(() => proxyHeader(header as ProxyHeader), { code, message })
}

/** A header of version 2 by its parts, hexadecimal. */
function v2(command: string, family: string, rest: string): Buffer {
  const body = rest.replaceAll(' ', '')
  const length = (body.length / 2).toString(16).padStart(4, '0')
  return Buffer.from(SIGNATURE + command + family + length + body, 'hex')
}
