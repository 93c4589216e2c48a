// Generated headers, whole, cut, changed: what is parsed is what was written, and what is no header is a typed error.

import { isDeepStrictEqual } from 'node:util'

import test from 'ava'
import fc from 'fast-check'
import { type ProxyHeader, SocketError, parseProxyHeader, proxyHeader } from 'm-socket'

import { Peer, cut, endOf, headers, v2Headers, watchedServer } from '../support/proxy-headers.js'
import { seedOf } from '../support/seed.js'
import { until } from '../support/waiting.js'

const seed = Number(seedOf(process.env['M_SOCKET_SEED']))
const tail = fc.uint8Array({ maxLength: 60 })

test('a_generated_header_is_parsed_as_it_was_written_with_its_length_and_not_a_byte_more', (t) => {
  const property = fc.property(headers, tail, (header, rest) => {
    const bytes = proxyHeader(header)
    const parsed = parseProxyHeader(Buffer.concat([bytes, rest]))
    return isDeepStrictEqual(parsed, { ...header, length: bytes.length })
  })
  t.notThrows(() => fc.assert(property, { seed, numRuns: 2000 }))
})

test('each_part_of_a_generated_header_is_incomplete', (t) => {
  const property = fc.property(headers, fc.nat(), (header, at) => {
    const bytes = proxyHeader(header)
    return parseProxyHeader(bytes.subarray(0, at % bytes.length)) === null
  })
  t.notThrows(() => fc.assert(property, { seed, numRuns: 2000 }))
})

/** Bytes that are changed, taken out, or put in. */
const mutation = fc.record({
  at: fc.nat(),
  removed: fc.integer({ min: 0, max: 3 }),
  inserted: fc.uint8Array({ maxLength: 3 }),
})

function mutate(bytes: Buffer, mutations: readonly { at: number; removed: number; inserted: Uint8Array }[]): Buffer {
  return mutations.reduce((whole, { at, removed, inserted }) => {
    const from = at % (whole.length + 1)
    return Buffer.concat([whole.subarray(0, from), inserted, whole.subarray(from + removed)])
  }, bytes)
}

test('changed_bytes_are_a_header_or_incomplete_or_a_typed_error', (t) => {
  const outcomes = new Set<string>()
  const property = fc.property(headers, fc.array(mutation, { minLength: 1, maxLength: 4 }), (header, mutations) => {
    const bytes = mutate(proxyHeader(header), mutations)
    const parsed = parsedOrMalformed(bytes)
    outcomes.add(parsed === null ? 'incomplete' : parsed === undefined ? 'malformed' : 'header')
    if (!parsed) return
    t.true(parsed.length <= bytes.length)
    // Whatever it is: nothing behind its length was looked at.
    t.true(isDeepStrictEqual(parseProxyHeader(bytes.subarray(0, parsed.length)), parsed))
    t.is(parseProxyHeader(bytes.subarray(0, parsed.length - 1)), null)
  })
  t.notThrows(() => fc.assert(property, { seed, numRuns: 10_000 }))
  t.deepEqual([...outcomes].sort(), ['header', 'incomplete', 'malformed'])
})

test('a_header_with_a_checksum_is_what_was_written_or_none', (t) => {
  const property = fc.property(v2Headers, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, change) => {
    const header: ProxyHeader = { ...given, crc32c: true }
    const bytes = proxyHeader(header)
    // The checksum is the last TLV, of 7 bytes.
    const changed = Buffer.from(bytes)
    changed[16 + (at % (bytes.length - 16 - 7 + 1))]! ^= change
    if (changed.length === 23) return
    const parsed = parsedOrMalformed(changed)
    t.true(parsed === undefined || parsed === null || parsed.crc32c !== true, changed.toString('hex'))
  })
  t.notThrows(() => fc.assert(property, { seed, numRuns: 2000 }))
})

test('any_bytes_are_a_header_or_incomplete_or_a_typed_error', (t) => {
  const beginning = fc.constantFrom(
    '',
    'PROXY ',
    'PROXY TCP4 ',
    'PROXY UNKNOWN',
    '\r\n\r\n\0\r\nQUIT\n',
    '\r\n\r\n\0\r\nQUIT\n!',
  )
  const property = fc.property(beginning, fc.uint8Array({ maxLength: 300 }), (first, rest) => {
    parsedOrMalformed(Buffer.concat([Buffer.from(first, 'latin1'), rest]))
  })
  t.notThrows(() => fc.assert(property, { seed, numRuns: 10_000 }))
})

/** Undefined where the error is the one that says so. */
function parsedOrMalformed(bytes: Buffer): ReturnType<typeof parseProxyHeader> | undefined {
  try {
    return parseProxyHeader(bytes)
  } catch (error) {
    if (error instanceof SocketError && error.code === 'ERR_PROXY_HEADER') return undefined
    throw error
  }
}

for (const mode of ['require', 'accept'] as const) {
  test(`a_server_gets_each_generated_header_and_each_byte_behind_it (${mode})`, async (t) => {
    const { server, seen } = watchedServer(t, { proxyProtocol: { mode, timeout: 100_000 } })
    let count = 0
    const property = fc.asyncProperty(
      headers,
      fc.array(fc.nat(), { maxLength: 6 }),
      tail,
      async (header, ends, rest) => {
        const whole = Buffer.concat([proxyHeader(header), rest])
        const peer = await Peer.to(t, server)
        const { localAddress, localPort } = peer.socket
        await peer.send(...cut(whole, ends))
        peer.socket.end()
        await until(() => seen.length > count && seen[count]!.isClosed)
        const { proxy, text, source, destination } = seen[count++]!
        t.deepEqual(proxy, header)
        t.is(text, Buffer.from(rest).toString('latin1'))
        t.is(source, header.source ? endOf(header.source) : `${localAddress} IPv4 ${localPort}`)
        t.is(destination, header.destination ? endOf(header.destination) : `127.0.0.1 IPv4 ${server.port}`)
        peer.socket.destroy()
      },
    )
    await t.notThrowsAsync(fc.assert(property, { seed, numRuns: 60 }))
    t.is(server.connections, 0)
  })

  test(`a_server_that_gets_changed_headers_resets_them_and_goes_on (${mode})`, async (t) => {
    const { server, seen } = watchedServer(t, { proxyProtocol: { mode, timeout: 60_000 } })
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 3 })
    const property = fc.asyncProperty(headers, mutations, async (header, changes) => {
      const before = seen.length
      const bytes = mutate(proxyHeader(header), changes)
      const parsed = parsedOrMalformed(bytes)
      const peer = await Peer.to(t, server)
      await peer.send(bytes)
      peer.socket.end()
      await peer.ended()
      // It is closed at once where it is none, or with the peer's end.
      const opened = seen.slice(before)
      if (opened.length === 0) t.true(!parsed)
      for (const { proxy, text } of opened) {
        const { length = 0, ...expected } = parsed ?? {}
        t.deepEqual(proxy, parsed ? (expected as ProxyHeader) : undefined)
        t.is(text, bytes.toString('latin1', length))
      }
      peer.socket.destroy()
    })
    await t.notThrowsAsync(fc.assert(property, { seed, numRuns: 100 }))
    await until(() => server.connections === 0)
    const peer = await Peer.to(t, server)
    await peer.send('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nstill there')
    await until(() => seen.at(-1)?.text === 'still there')
    t.is(seen.at(-1)!.source, '192.0.2.1 IPv4 1')
  })
}
