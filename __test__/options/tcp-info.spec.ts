import test, { type ExecutionContext } from 'ava'
import { Listener, Multiplexer, Socket, SocketClosedError, SocketError } from 'm-socket'

import * as kernel from '../../lib/options/constants.js'
import { TCP_INFO_FIELDS } from '../../lib/options/tcp-info.js'
import { lackingInfo, lackingOption, testUnless } from '../support/emulation.js'

const SENT = 10_000

/** A client that has sent {@link SENT} bytes, and the accepted socket, which has received them. */
async function exchanged(t: ExecutionContext, host = '127.0.0.1'): Promise<{ client: Socket; accepted: Socket }> {
  const listener = Listener.bind({ host })
  t.teardown(() => listener.close())
  const client = Socket.connect({ host, port: (listener.address as { port: number }).port })
  t.teardown(() => client.reset())
  client.send(new Uint8Array(SENT))
  using multiplexer = new Multiplexer(listener, client)
  let accepted: Socket | null = null
  while ((accepted = listener.accept()) === null) await multiplexer.wait(10_000)
  const server = accepted
  t.teardown(() => server.reset())
  multiplexer.add(server)
  const into = new Uint8Array(SENT)
  for (let read = 0; read < SENT;) {
    const count = server.receive(into)
    if (count === null) await multiplexer.wait(10_000)
    else read += count
  }
  multiplexer.remove(client)
  multiplexer.remove(server)
  return { client, accepted: server }
}

for (const host of ['127.0.0.1', '::1']) {
  testUnless(lackingInfo, `info_counts_the_traffic_of_the_connection (${host})`, async (t) => {
    const { client, accepted } = await exchanged(t, host)
    const received = accepted.info()
    t.is(received.state, 'established')
    t.is(received.congestionState, 'open')
    t.is(received.bytesReceived, SENT)
    const sent = client.info()
    t.is(sent.notSentBytes, 0)
    t.true(sent.rtt > 0 && sent.rtt < 10_000_000)
    t.true(sent.sendMss > 0 && sent.sendMss <= sent.pathMtu)
    t.true(sent.dataSegmentsOut >= 1 && sent.segmentsOut > sent.dataSegmentsOut)
    t.true(sent.sendCwnd > 0)
    t.is(sent.maxPacingRate, Infinity)
    t.is(sent.sendSsthresh, 2 ** 31 - 1)
  })
}

testUnless(lackingInfo ?? lackingOption('maxPacingRate'), 'info_agrees_with_getOption', async (t) => {
  const { client } = await exchanged(t)
  client.setOption('maxPacingRate', 2 ** 33)
  const info = client.info()
  t.is(info.maxPacingRate, 2 ** 33)
  t.is(info.sendMss, client.getOption('maxSegment'))
})

testUnless(lackingInfo, 'info_reads_each_field_at_its_offset_in_linux_tcp_h', async (t) => {
  const { client } = await exchanged(t)
  const raw = client.getsockopt(kernel.IPPROTO_TCP, kernel.TCP_INFO, 512)
  const info = client.info()
  t.is(info.sendWindowScale, raw.readUInt8(6) & 15)
  t.is(info.receiveWindowScale, raw.readUInt8(6) >> 4)
  t.is(info.rto, raw.readUInt32LE(8))
  t.is(info.rtt, raw.readUInt32LE(68))
  t.is(info.advMss, raw.readUInt32LE(84))
  t.is(info.bytesReceived, Number(raw.readBigUInt64LE(128)))
  t.is(info.segmentsOut, raw.readUInt32LE(136))
  t.is(info.minRtt, raw.readUInt32LE(148))
  t.is(info.deliveryRate, Number(raw.readBigUInt64LE(160)))
  if (raw.length >= 208) t.is(info.bytesSent, Number(raw.readBigUInt64LE(200)))
  if (raw.length >= 236) t.is(info.receiveWindow, raw.readUInt32LE(232))
})

test('info_has_exactly_the_listed_fields', async (t) => {
  const { client } = await exchanged(t)
  const info = client.info()
  t.deepEqual(Object.keys(info), [...TCP_INFO_FIELDS, 'mptcp'])
  for (const name of TCP_INFO_FIELDS) {
    t.is(typeof info[name], name === 'state' || name === 'congestionState' ? 'string' : 'number', name)
  }
})

testUnless(lackingInfo, 'fields_that_an_older_kernel_lacks_are_NaN_and_all_others_are_numbers', async (t) => {
  const { client } = await exchanged(t)
  const given = client.infoInto(new Float64Array(TCP_INFO_FIELDS.length))
  const info = client.info()
  for (const [index, name] of TCP_INFO_FIELDS.entries()) t.is(Number.isNaN(info[name]), index >= given, name)
  // Linux 4.18, the oldest that Node 20 runs on, has all fields up to this one.
  t.true(given > TCP_INFO_FIELDS.indexOf('deliveredCe'))
})

test('infoInto_writes_the_fields_in_the_listed_order', async (t) => {
  const { client } = await exchanged(t)
  const into = new Float64Array(TCP_INFO_FIELDS.length + 2).fill(-1)
  client.infoInto(into)
  const at = (name: (typeof TCP_INFO_FIELDS)[number]): number | undefined => into[TCP_INFO_FIELDS.indexOf(name)]
  const info = client.info()
  t.is(at('state'), 1)
  t.is(at('congestionState'), 0)
  t.is(at('sendMss'), info.sendMss)
  t.is(at('pathMtu'), info.pathMtu)
  t.is(at('bytesAcked'), info.bytesAcked)
  t.is(at('dataSegmentsOut'), info.dataSegmentsOut)
  t.deepEqual(into.slice(-2), Float64Array.of(-1, -1))
})

test('infoInto_writes_as_many_fields_as_fit', async (t) => {
  const { client } = await exchanged(t)
  const into = new Float64Array(3).fill(-1)
  t.is(client.infoInto(into.subarray(0, 2)), 2)
  t.deepEqual([...into], [1, 0, -1])
  t.is(client.infoInto(new Float64Array(0)), 0)
  t.throws(() => client.infoInto(new Float32Array(4) as never), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
})

test('info_follows_the_state_of_the_connection', async (t) => {
  const { client, accepted } = await exchanged(t)
  client.shutdown('write')
  while (accepted.receive(new Uint8Array(8)) === null) await new Promise((resolve) => setImmediate(resolve))
  t.is(accepted.info().state, 'close-wait')
  t.regex(client.info().state, /^fin-wait-[12]$/)
})

test('info_of_a_unix_socket_or_a_closed_socket_is_an_error', async (t) => {
  const path = `\0m-socket-tcp-info-${process.pid}`
  const listener = Listener.bind({ path })
  t.teardown(() => listener.close())
  const unix = Socket.connect({ path })
  t.throws(() => unix.info(), { instanceOf: SocketError, code: 'ENOTSUP', message: 'getsockopt ENOTSUP: TCP_INFO' })
  unix.close()
  t.throws(() => unix.info(), { instanceOf: SocketClosedError })
  t.throws(() => unix.infoInto(new Float64Array(1)), { instanceOf: SocketClosedError })
})
