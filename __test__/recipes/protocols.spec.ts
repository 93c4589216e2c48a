import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

import test, { type ExecutionContext } from 'ava'
import { connect as connectTo, listen } from 'm-socket'

import { sendSignal } from '../support/child.js'
import { LineClient } from '../support/line-client.js'
import { isAsShown, shownCommands, shownOutput, startProgram, startServing } from '../support/pages.js'
import { textOf } from '../support/code-blocks.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { run } from '../support/fixture.js'
import { freePath, temporaryDirectory } from '../support/unix.js'

test.serial('rooms: members_of_a_room_get_what_is_said_in_it', async (t) => {
  const server = await startServing(t, 'recipes/rooms', ['0'])
  const [ann, bob, eve] = [
    await LineClient.connect(t, server.port),
    await LineClient.connect(t, server.port),
    await LineClient.connect(t, server.port),
  ]
  ann.say('JOIN tea ann')
  const forAnn = [await ann.next()]
  eve.say('JOIN coffee ann')
  t.is(await eve.next(), 'OK ann')
  eve.say('JOIN tea eve')
  t.is(await eve.next(), 'ERROR say SAY, WHO or QUIT')
  bob.say('JOIN tea ann')
  t.is(await bob.next(), 'ERROR ann is taken')
  bob.say('JOIN tea bob')
  t.is(await bob.next(), 'OK ann bob')
  bob.say('SAY hello \u001b[31mann\r')
  t.is(await bob.next(), 'bob: hello [31mann')
  forAnn.push(...(await ann.take(2)))
  bob.say('QUIT')
  t.is(await bob.next(), undefined)
  forAnn.push(await ann.next())
  const [, shown] = shownCommands(textOf('docs/recipes/rooms.md'))
  t.is(['JOIN tea ann', ...forAnn].join('\n').replace('[31m', ''), shown!.output)
  ann.say('x'.repeat(513))
  t.deepEqual(await ann.rest(), ['ERROR What is read has more than 512 bytes'])
  sendSignal(server.child, 'SIGTERM')
  t.deepEqual(await eve.rest(), [])
  t.is(await server.stderr, '')
})

test.serial('rooms: a_member_that_does_not_read_misses_lines_and_delays_no_other', async (t) => {
  const server = await startServing(t, 'recipes/rooms', ['0'])
  const slow = await connectTo({ host: '127.0.0.1', port: server.port, receiveBufferSize: 4096 })
  t.teardown(() => slow.terminate())
  slow.write('JOIN r slow\n')
  const lines = slow.lines()
  t.is((await lines.next()).value, 'OK slow')
  const quick = await LineClient.connect(t, server.port)
  quick.say('JOIN r quick')
  t.is(await quick.next(), 'OK slow quick')
  // More than the kernel's buffers have room for; in pieces that the queue of a reader has room for.
  const piece = Array(50)
    .fill(`SAY ${'y'.repeat(500)}`)
    .join('\n')
  for (let said = 0; said < 5_000_000; said += piece.length) {
    quick.say(piece)
    await quick.take(50)
  }
  let skipped: string | undefined
  for (let read = 0; skipped === undefined; read++) {
    // The first line behind the gap says how large it is.
    if (read % 50 === 0) quick.say('SAY z')
    skipped = /^\* (\d+) lines skipped$/.exec((await lines.next()).value as string)?.[1]
  }
  t.true(Number(skipped) > 0)
})

test.serial('rpc: calls_are_answered_as_they_are_done', async (t) => {
  const page = 'docs/recipes/rpc.md'
  const server = await startServing(t, 'recipes/rpc', ['0'])
  const [, shown] = shownCommands(textOf(page))
  const calls = [...shown!.command.matchAll(/'(.*?)'/g)].map(([, each]) => each!)
  const client = startProgram(t, 'recipes/rpc-client', ['127.0.0.1', String(server.port), ...calls])
  const printed = (await client.rest()).join('\n')
  // The reason of AbortSignal.timeout() in Bun.
  isAsShown(
    t,
    page,
    'rpc-client.ts',
    printed.replace('The operation timed out.', 'The operation was aborted due to timeout'),
  )
  t.is(await client.stderr, '')
})

testWith(['python3'], 'rpc: a_client_in_another_language_may_end_its_half_before_its_answers', async (t) => {
  const server = await startServing(t, 'recipes/rpc', ['0'])
  const { stdout, stderr } = await run(t, 'python3', ['-c', PYTHON_CLIENT, String(server.port)])
  t.is(stderr, '')
  t.deepEqual(JSON.parse(stdout), [
    { id: 8, result: 5 },
    { id: 9, error: 'there is no method nothing' },
    { id: 7, result: 'waited 50 ms' },
  ])
})

const PYTHON_CLIENT = `
import json, socket, struct, sys
client = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
def frame(message):
    body = json.dumps(message).encode()
    return struct.pack('>I', len(body)) + body
requests = [(7, 'wait', [50]), (8, 'add', [2, 3]), (9, 'nothing', [])]
client.sendall(b''.join(frame({'id': i, 'method': m, 'params': p}) for i, m, p in requests))
client.shutdown(socket.SHUT_WR)
answers = client.makefile('rb').read()
messages = []
while answers:
    length, = struct.unpack('>I', answers[:4])
    messages.append(json.loads(answers[4:4 + length]))
    answers = answers[4 + length:]
print(json.dumps(messages))
`

test.serial('rpc: a_message_that_is_too_long_or_cut_off_resets_the_connection', async (t) => {
  const server = await startServing(t, 'recipes/rpc', ['0'])
  for (const bytes of [Buffer.of(255, 0, 0, 0), Buffer.of(0, 0, 0, 9, 123)]) {
    const client = connect(server.port, '127.0.0.1').end(bytes)
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
    t.is(error.code, 'ECONNRESET')
  }
})

testWith(['memccat', 'nc'], 'memcached: the_clients_of_libmemcached_work', async (t) => {
  const server = await startServing(t, 'recipes/memcached', ['0'])
  const page = 'docs/recipes/memcached.md'
  const cwd = temporaryDirectory(t)
  for (const { command } of shownCommands(textOf(page)).slice(1)) {
    const here = command.replaceAll('11211', String(server.port))
    const { stdout, stderr } = await run(t, 'sh', ['-c', here], { cwd })
    isAsShown(t, page, command, `${stdout}${stderr}`.replaceAll('\r', ''))
  }
})

test.serial('memcached: commands_are_answered_in_order_and_the_oldest_item_makes_room', async (t) => {
  const server = await startServing(t, 'recipes/memcached', ['0', '1'])
  const exchange = (sent: string) => text(connect(server.port, '127.0.0.1').end(sent))
  t.is(
    await exchange('add a 5 0 3\r\nabc\r\nadd a 0 0 1\r\nx\r\nget a b\r\n'),
    'STORED\r\nNOT_STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\n',
  )
  t.is(await exchange('replace b 0 0 1\r\nx\r\nset c 0 -1 1\r\nx\r\nget c\r\n'), 'NOT_STORED\r\nSTORED\r\nEND\r\n')
  t.is(
    await exchange('touch a 100\r\ntouch b 100\r\nset d 0 0 2 noreply\r\n\r\n\r\nget d\r\n'),
    'TOUCHED\r\nNOT_FOUND\r\nVALUE d 0 2\r\n\r\n\r\nEND\r\n',
  )
  t.is(
    await exchange('delete a\r\ndelete a\r\nincr d 1\r\nset é 0 0 1\r\nx\r\nget é\r\nquit\r\nget d\r\n'),
    'DELETED\r\nNOT_FOUND\r\nERROR\r\nSTORED\r\nVALUE é 0 1\r\nx\r\nEND\r\n',
  )
  t.is(await exchange('set e 0 0 2000000\r\n'), 'ERROR too large, or not a length\r\n')
  const large = 'x'.repeat(400_000)
  const put = (key: string) => `set ${key} 0 0 ${large.length}\r\n${large}\r\n`
  t.is(await exchange(`${put('f')}${put('g')}get d\r\n`), 'STORED\r\nSTORED\r\nVALUE d 0 2\r\n\r\n\r\nEND\r\n')
  const kept = await exchange(`${put('h')}get f\r\nget g\r\nget d\r\n`)
  t.deepEqual(kept.match(/STORED|VALUE \w|END/g), ['STORED', 'END', 'VALUE g', 'END', 'VALUE d', 'END'])
})

test.serial('device-gateway: devices_are_counted_and_a_command_reaches_one', async (t) => {
  const page = 'docs/recipes/device-gateway.md'
  const path = freePath(t)
  const gateway = await startServing(t, 'recipes/device-gateway', ['0', path])
  const devices = startProgram(t, 'recipes/device-gateway-devices', [String(gateway.port), '500'])
  t.is(await devices.line(), shownOutput(page, 'devices.ts').replace('15000', '500'))
  const operator = connect(path)
  t.teardown(() => operator.destroy())
  const lines = createInterface({ input: operator })[Symbol.asyncIterator]()
  const answer = async () => (await lines.next()).value as string
  // HELLO of the last ones may still be on its way.
  do operator.write('COUNT\n')
  while (!/^500 devices, [\d.]+ MB$/.test(await answer()))
  operator.write('SEND device-7 reboot\n')
  isAsShown(t, page, 'SEND', `${await answer()}\n${await answer()}`)
  operator.write('SEND nothing\n')
  t.is(await answer(), 'nothing unknown')
  // A device that comes again replaces its last connection; what is no device is reset.
  const again = connect(gateway.port, '127.0.0.1')
  t.teardown(() => again.destroy())
  again.write('HELLO dev')
  again.write('ice-7\nPING\n')
  t.is(String((await once(again, 'data'))[0]), 'PONG\n')
  const other = connect(gateway.port, '127.0.0.1')
  other.write('GET / HTTP/1.1\r\n')
  t.is(((await once(other, 'error')) as [NodeJS.ErrnoException])[0].code, 'ECONNRESET')
  operator.write('COUNT\n')
  t.regex(await answer(), /^500 devices/)
  operator.end()
  sendSignal(gateway.child, 'SIGTERM')
  t.is(await gateway.stderr, '')
})

test.serial('reconnect: lines_are_kept_and_sent_and_delays_begin_again_after_a_success', async (t) => {
  const port = freePort()
  const client = startProgram(t, 'recipes/reconnect', ['127.0.0.1', String(port)])
  let log = ''
  client.child.stderr!.on('data', (chunk: Buffer) => (log += chunk.toString()))
  const line = async () => {
    while (!log.includes('\n')) await once(client.child.stderr!, 'data')
    const [first = ''] = log.split('\n')
    log = log.slice(first.length + 1)
    return first
  }
  const delay = async () => {
    const [, reason, milliseconds] = /^(.*): again in (\d+) ms$/.exec(await line()) ?? []
    return { reason, milliseconds: Number(milliseconds) }
  }
  client.child.stdin!.write('one\ntwo\n')
  for (let failures = 0; failures < 3; failures++) {
    const { reason, milliseconds } = await delay()
    t.is(reason, `connect ECONNREFUSED 127.0.0.1:${port}`)
    t.true(milliseconds <= 100 * 2 ** failures, `${milliseconds}`)
  }
  t.is(await serveOnce(t, port, 'one\ntwo\n', 'thanks\n'), 'one\ntwo\n')
  t.is(await client.line(), 'thanks')
  for (let next = await delay(); ; next = await delay()) {
    if (next.reason !== 'the server has ended') continue
    t.true(next.milliseconds <= 100, `${next.milliseconds}`)
    break
  }
  client.child.stdin!.write('three\n')
  t.is(await serveOnce(t, port, 'three\n', ''), 'three\n')
  client.child.stdin!.write('four\nfive\n')
  await delay()
  sendSignal(client.child, 'SIGTERM')
  await once(client.child, 'close')
  t.regex(log, /^2 lines were not sent$/m)
})

/** Serves one connection: reads until `expected` has come, answers, and ends. */
async function serveOnce(t: ExecutionContext, port: number, expected: string, answer: string): Promise<string> {
  let received = ''
  const closed = new Promise<void>((resolve) => {
    const server = listen({
      host: '127.0.0.1',
      port,
      socket: {
        data(connection, chunk) {
          received += chunk.toString()
          if (received.length < expected.length) return
          connection.end(answer)
          server.stop()
        },
        close: () => resolve(),
      },
    })
    t.teardown(() => server.stop(true))
  })
  await closed
  return received
}
