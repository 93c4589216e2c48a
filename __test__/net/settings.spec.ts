import type { NetConnectOpts, Socket } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import ourNet from 'm-socket/net'

import { eventOf } from '../support/both-nets.js'

type Ours = Socket & { socket: { getOption(name: string): unknown } }

async function connected(
  t: ExecutionContext,
  options: object,
  before: (socket: Socket) => void = () => {},
): Promise<Ours> {
  const server = ourNet.createServer().listen(0, '127.0.0.1')
  await eventOf(server, 'listening')
  const { port } = server.address() as { port: number }
  const client = new ourNet.Socket(options as NetConnectOpts) as Ours
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  before(client)
  client.connect({ port, host: '127.0.0.1' })
  await eventOf(client, 'connect')
  return client
}

const ON = { idle: 7000, interval: 1000, count: 10 }

test('options_of_the_constructor_are_set_in_the_kernel', async (t) => {
  const client = await connected(t, {
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 7000,
    typeOfService: 0x10,
  })
  t.true(client.socket.getOption('noDelay'))
  t.like(client.socket.getOption('keepAlive'), ON)
  t.is(client.socket.getOption('typeOfService'), 0x10)
})

test('what_is_set_before_connect_is_set_in_the_kernel', async (t) => {
  const client = await connected(t, {}, (socket) => socket.setNoDelay().setKeepAlive(true, 7000))
  t.true(client.socket.getOption('noDelay'))
  t.like(client.socket.getOption('keepAlive'), ON)
})

test('what_is_set_later_is_set_and_taken_back', async (t) => {
  const client = await connected(t, {})
  t.false(client.socket.getOption('noDelay'))
  client.setNoDelay(true).setKeepAlive(true, 7000)
  t.true(client.socket.getOption('noDelay'))
  t.like(client.socket.getOption('keepAlive'), ON)
  client.setNoDelay(false).setKeepAlive(false)
  t.false(client.socket.getOption('noDelay'))
  t.false(client.socket.getOption('keepAlive'))
})
