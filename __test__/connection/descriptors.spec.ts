// Descriptors over the socket of a connection.

import { closeSync } from 'node:fs'

import test from 'ava'
import { type Connection, Socket, connect, listen } from 'm-socket'

import { openObjects } from '../support/descriptors.js'
import { fileWith, openFor } from '../support/files.js'
import { resetAtEnd, testListener } from '../support/pair.js'
import { identity, receivePassed, receiveText } from '../support/passing.js'
import { freePath } from '../support/unix.js'
import { acceptNext, connectOutcome, until } from '../support/waiting.js'

test.serial('descriptors_go_behind_what_a_handler_has_written', async (t) => {
  const file = openFor(t, fileWith(t, Buffer.from('passed')))
  const path = freePath(t)
  const server = listen({
    path,
    socket: {
      open(connection) {
        connection.write('written ')
        t.is(connection.socket!.sendDescriptors([file], 'passed '), 'sent')
        connection.end('last')
      },
    },
  })
  t.teardown(() => server.stop(true))
  const client = resetAtEnd(t, Socket.connect({ path }))
  await connectOutcome(client)
  const [first, ...passed] = await receiveText(t, client)
  t.deepEqual([first, passed.map(identity)], ['written passed ', [identity(file)]])
  t.deepEqual(await receiveText(t, client), ['last'])
  t.deepEqual(await receiveText(t, client), [''])
})

test.serial('descriptors_wait_for_a_writeAll_that_is_pending', async (t) => {
  const path = freePath(t)
  const bytes = 'x'.repeat(3_000_000)
  const refused = { code: 'ERR_INVALID_STATE', message: /a writeAll is pending/ }
  const server = listen({
    path,
    socket: {
      async open(connection) {
        const written = connection.writeAll(bytes)
        t.throws(() => connection.socket!.sendDescriptors([0], 'passed'), refused)
        await written
        await connection.drained()
        t.is(connection.socket!.sendDescriptors([0], 'passed'), 'sent')
        connection.end()
      },
    },
  })
  t.teardown(() => server.stop(true))
  let received = ''
  for await (const chunk of await connect({ path })) received += chunk.toString()
  t.true(received === `${bytes}passed`)
})

test.serial('a_connection_without_a_data_handler_leaves_descriptors_to_its_socket', async (t) => {
  const file = openFor(t, fileWith(t, Buffer.from('passed')))
  const path = freePath(t)
  let accepted: Connection<undefined> | undefined
  const server = listen({ path, socket: { open: (connection) => void (accepted = connection) } })
  t.teardown(() => server.stop(true))
  const client = resetAtEnd(t, Socket.connect({ path }))
  client.sendDescriptors([file], 'request')
  await until(() => accepted !== undefined)
  const into = new Uint8Array(16)
  const { length, descriptors } = accepted!.socket!.receiveDescriptors(into)!
  t.is(Buffer.from(into.subarray(0, length)).toString(), 'request')
  t.deepEqual(descriptors.map(identity), [identity(file)])
  closeSync(descriptors[0]!)
  t.is(accepted!.socket!.receiveDescriptors(into), null)
})

test.serial('a_data_handler_gets_the_bytes_and_the_kernel_closes_the_descriptors', async (t) => {
  const file = openFor(t, fileWith(t, Buffer.from('passed')))
  const path = freePath(t)
  const chunks: string[] = []
  const server = listen({ path, socket: { data: (_, chunk) => void chunks.push(chunk.toString()) } })
  t.teardown(() => server.stop(true))
  const client = resetAtEnd(t, Socket.connect({ path }))
  client.sendDescriptors([], 'warm ')
  await until(() => chunks.length === 1)
  const before = openObjects()
  client.sendDescriptors([file, client, file], 'bytes')
  await until(() => chunks.length === 2)
  t.deepEqual(chunks, ['warm ', 'bytes'])
  t.deepEqual(openObjects(), before)
})

test.serial('a_connection_that_was_passed_is_closed_here_and_lives_there', async (t) => {
  const listener = testListener(t, 'unix')
  const { path } = listener.address as { path: string }
  const giver = resetAtEnd(t, Socket.connect({ path }))
  const taker = resetAtEnd(t, await acceptNext(listener))
  let client: Connection<undefined> | undefined
  const server = listen({
    host: '127.0.0.1',
    port: 0,
    socket: {
      open({ socket }) {
        t.is(giver.sendDescriptors([socket!], 'x'), 'sent')
        socket!.close()
      },
    },
  })
  t.teardown(() => server.stop(true))
  const received: string[] = []
  client = await connect({
    host: '127.0.0.1',
    port: server.port,
    socket: { data: (_, chunk) => void received.push(chunk.toString()) },
  })
  t.teardown(() => client!.terminate())
  const { descriptors } = await receivePassed(taker)
  const adopted = resetAtEnd(t, Socket.adopt(descriptors[0]!))
  client.write('request')
  const [text] = await receiveBytes(adopted)
  t.is(text, 'request')
  adopted.send('answer')
  await until(() => received.length === 1)
  t.deepEqual(received, ['answer'])
})

async function receiveBytes(socket: Socket): Promise<[string]> {
  const into = Buffer.alloc(64)
  let count: number | null = null
  await until(() => (count = socket.receive(into)) !== null, socket)
  return [into.toString('utf8', 0, count!)]
}
