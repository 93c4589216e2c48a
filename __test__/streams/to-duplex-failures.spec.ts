import test from 'ava'
import { Socket, type SocketConnectOptions, type SocketStream, constants, toDuplex } from 'm-socket'

import { keepTimeStamps } from '../support/error-queue.js'
import { addressOf, connectedPair, freeAddress, testListener } from '../support/pair.js'
import { assertIdle, nextTurn, sleep } from '../support/timing.js'
import { until } from '../support/waiting.js'

/** The events of a stream that end it, in order. */
function endsOf(duplex: SocketStream): string[] {
  const events: string[] = []
  duplex.on('error', (error) => events.push(`error ${(error as NodeJS.ErrnoException).code}`))
  duplex.on('end', () => events.push('end')).on('close', () => events.push('close'))
  return events
}

const LOOKS: [name: string, look: (socket: Socket) => unknown][] = [
  ['state', (socket) => socket.state],
  ['writeEnded', (socket) => socket.writeEnded],
  ['send', (socket) => socket.send('x')],
  ['receive', (socket) => socket.receive(new Uint8Array(1))],
  ['peek', (socket) => socket.peek(new Uint8Array(1))],
  ['flush', (socket) => socket.flush()],
  ['shutdown', (socket) => socket.shutdown()],
  ['SO_ERROR', (socket) => socket.getsockopt(constants.SOL_SOCKET, constants.SO_ERROR)],
]

/** Uses the socket twice, as a program may: the second call of some finds it closed. */
function lookTwice(look: (socket: Socket) => unknown, socket: Socket): void {
  for (let times = 0; times < 2; times++) {
    try {
      look(socket)
    } catch {
      // The error is to be the stream's all the same.
    }
  }
}

for (const [name, look] of LOOKS) {
  for (const reads of [false, true]) {
    const reading = reads ? 'read' : 'not read'
    for (const family of ['IPv4', 'unix'] as const) {
      test(`a_program_that_uses_the_socket_takes_no_error_of_connect: ${name}, ${family}, ${reading}`, async (t) => {
        const listener = testListener(t, family)
        const address = addressOf(listener)
        listener.close()
        const where = family === 'unix' ? freeAddress(t, 'unix') : address
        const duplex = toDuplex(Socket.connect(where as SocketConnectOptions))
        const events = endsOf(duplex)
        if (reads) duplex.resume()
        lookTwice(look, duplex.socket)
        await until(() => events.includes('close'))
        t.deepEqual(events, [family === 'unix' ? 'error ENOENT' : 'error ECONNREFUSED', 'close'])
      })
    }

    test(`a_program_that_uses_the_socket_takes_no_reset_of_a_stream: ${name}, ${reading}`, async (t) => {
      const { client, server } = await connectedPair(t)
      const duplex = toDuplex(server)
      const events = endsOf(duplex)
      if (reads) duplex.resume()
      await nextTurn()
      client.reset()
      lookTwice(look, server)
      await until(() => events.includes('close'))
      t.deepEqual(events, ['error ECONNRESET', 'close'])
    })
  }
}

test('a_reset_destroys_a_stream_that_is_not_read', async (t) => {
  const { client, server } = await connectedPair(t)
  const events = endsOf(toDuplex(server))
  client.reset()
  await until(() => events.includes('close'))
  t.deepEqual(events, ['error ECONNRESET', 'close'])
})

// In node:net it may be an 'end': libuv takes a hang-up behind a short read for one.
test('a_stream_that_is_paused_and_full_gets_a_reset_behind_its_data', async (t) => {
  const { client, server } = await connectedPair(t)
  const duplex = toDuplex(server)
  const events = endsOf(duplex)
  let length = 0
  duplex.pause().on('data', (chunk: Buffer) => (length += chunk.length))
  while (client.queued === 0) client.send(Buffer.alloc(65536))
  await until(() => duplex.readableLength >= duplex.readableHighWaterMark)
  client.reset()
  await sleep(20)
  t.deepEqual(events, [])
  const before = duplex.readableLength
  duplex.resume()
  await until(() => events.includes('close'))
  t.deepEqual(events, ['error ECONNRESET', 'close'])
  t.true(length >= before)
})

for (const state of ['not read', 'read', 'with unread input', 'with a pending write']) {
  test.serial(`truth 30: an_error_queue_does_not_spin_a_stream: ${state}`, async (t) => {
    const { client, server } = await connectedPair(t)
    const duplex = toDuplex(server)
    const events = endsOf(duplex)
    if (state === 'read') duplex.resume()
    if (state === 'with unread input') client.send('input')
    keepTimeStamps(server)
    duplex.write(state === 'with a pending write' ? Buffer.alloc(16 << 20) : 'hello')
    await sleep(20)
    await assertIdle(t, () => sleep(300))
    t.deepEqual(events, [])
    duplex.destroy()
  })
}
