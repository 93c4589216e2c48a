import type { Socket } from 'node:net'

import test from 'ava'

import { runModule } from '../support/child.js'
import { blackhole } from '../support/blackhole.js'
import { eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

const LARGE = Buffer.alloc(20_000_000)

onBoth(
  'a_reset_that_meets_a_reader_is_an_error_of_read_also_while_a_write_waits',
  async (net, log, { server, track }) => {
    let accepted!: (socket: Socket) => void
    const connection = new Promise<Socket>((resolve) => (accepted = resolve))
    const port = portOf(await server((socket) => accepted(socket), { pauseOnConnect: true }))
    const client = track(net.connect(port, '127.0.0.1'))
    const peer = await connection
    if (client.connecting) await eventOf(client, 'connect')
    logEvents(client, log, { port })
    client.write(LARGE)
    await new Promise(setImmediate)
    peer.resetAndDestroy()
    await eventOf(client, 'close')
  },
)

for (const error of ['', `new Error('reason')`])
  test(`a_write_callback_that_throws_at_destroy(${error})_does_not_take_close_away`, async (t) => {
    const logs = []
    for (const net of ['node:net', 'm-socket/net']) {
      const { stdout } = await runModule(
        t,
        `import net from '${net}'
        process.on('uncaughtException', (error) => console.log('uncaught', error.message))
        const server = net.createServer({ pauseOnConnect: true }, async (peer) => {
          peer.on('error', () => {})
          // Its write has begun, and waits.
          while (client.connecting || client.bytesWritten === 0) await new Promise(setImmediate)
          await new Promise(setImmediate)
          client.destroy(${error})
          client.once('close', (hadError) => {
            console.log('close', hadError)
            peer.destroy()
            server.close(() => console.log('server closed'))
          })
        }).listen(0, '127.0.0.1', () => {
          client = net.connect(server.address().port, '127.0.0.1')
          client.on('error', (error) => console.log(error.message))
          client.write(Buffer.alloc(20_000_000), () => { throw new Error('thrown') })
        })
        let client`,
      )
      logs.push(stdout)
    }
    t.regex(logs[0]!, /^close/m)
    t.is(logs[1], logs[0])
  })

test('a_listener_that_throws_when_an_attempt_is_given_up_does_not_take_close_away', async (t) => {
  const held = await blackhole(t, '127.0.0.12')
  const { port } = held.address as { port: number }
  const logs = []
  for (const net of ['node:net', 'm-socket/net']) {
    const { stdout } = await runModule(
      t,
      `import net from '${net}'
      process.on('uncaughtException', (error) => console.log('uncaught', error.message))
      const addresses = ['127.0.0.12', '127.0.0.13'].map((address) => ({ address, family: 4 }))
      const lookup = (_host, _options, callback) => process.nextTick(callback, null, addresses)
      const options = { host: 'some.name', port: ${port}, lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 60_000 }
      const client = net.connect(options)
      client.on('connectionAttemptFailed', () => { throw new Error('thrown') })
      client.on('close', (hadError) => console.log('close', hadError))
      client.once('connectionAttempt', () => setImmediate(() => client.destroy()))`,
    )
    logs.push(stdout.trim().split('\n').toSorted())
  }
  t.deepEqual(logs[1], ['close false', 'uncaught thrown'])
  t.deepEqual(logs[1], logs[0])
})
