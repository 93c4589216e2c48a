import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { type Socket, type SocketStream, toDuplex } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { connectedPair, smallBufferPair } from '../support/pair.js'
import { nextTurn } from '../support/timing.js'
import { receiveToEnd, until } from '../support/waiting.js'

const requests = new AsyncLocalStorage<string>()

const EVENTS = ['data', 'end', 'error', 'close', 'drain', 'finish', 'prefinish'] as const

/** A stream made in the store `maker`, whose events are recorded with the stores that they come in. */
function recorded(t: ExecutionContext, socket: Socket, names: readonly string[] = EVENTS): [SocketStream, string[]] {
  const entries: string[] = []
  const duplex = requests.run('maker', () => toDuplex(socket))
  t.teardown(() => duplex.destroy())
  for (const name of names) duplex.on(name, () => void entries.push(`${name} in ${requests.getStore()}`))
  return [duplex, entries]
}

const storesOf = (entries: readonly string[]): string[] => [
  ...new Set(entries.map((entry) => entry.slice(entry.indexOf(' in ') + 4))),
]

test('events_of_a_stream_come_in_the_store_of_its_maker', async (t) => {
  const { client, server } = await connectedPair(t)
  const [duplex, entries] = recorded(t, client)
  requests.run('stranger', () => {
    duplex.resume()
    duplex.write('hello')
  })
  server.send('hello')
  await until(() => entries.length > 0)
  server.shutdown()
  requests.run('stranger', () => duplex.end())
  await receiveToEnd(server)
  await until(() => entries.some((entry) => entry.startsWith('close')))
  t.deepEqual(storesOf(entries), ['maker'])
  for (const name of ['data', 'end', 'finish', 'close']) t.true(entries.includes(`${name} in maker`), name)
})

test('what_another_request_reads_from_the_buffer_comes_in_the_store_of_the_maker', async (t) => {
  const { client, server } = await connectedPair(t)
  const [duplex, entries] = recorded(t, client, ['data', 'end', 'close', 'pause', 'resume'])
  duplex.pause()
  duplex.read(0)
  server.send('hello')
  await until(() => duplex.readableLength === 5)
  requests.run('stranger', () => duplex.resume())
  server.shutdown()
  await until(() => entries.includes('end in maker'))
  requests.run('stranger', () => duplex.destroy())
  await until(() => duplex.closed)
  t.deepEqual(storesOf(entries), ['maker'])
})

test('an_error_by_which_another_request_destroys_it_comes_in_the_store_of_the_maker', async (t) => {
  const { client } = await connectedPair(t)
  const [duplex, entries] = recorded(t, client)
  requests.run('stranger', () => duplex.destroy(new Error('destroyed')))
  await until(() => entries.length === 2)
  t.deepEqual(entries, ['error in maker', 'close in maker'])
})

test('events_come_in_the_store_of_the_maker_and_callbacks_of_writes_in_that_of_the_write', async (t) => {
  const { client, server } = await smallBufferPair(t)
  const [duplex, entries] = recorded(t, client, ['drain', 'finish'])
  const note = (call: string) => () => void entries.push(`${call} in ${requests.getStore()}`)
  requests.run('stranger', () => {
    duplex.write('x', note('small'))
    t.false(duplex.write(Buffer.alloc(1_000_000), note('large')))
    duplex.write('y', note('next'))
  })
  await nextTurn()
  requests.run('another', () => duplex.end('z', note('end')))
  await receiveToEnd(server)
  await until(() => entries.length >= 5)
  for (const call of ['small', 'large']) t.true(entries.includes(`${call} in stranger`), call)
  for (const event of ['finish']) t.true(entries.includes(`${event} in maker`), event)
})

test('a_store_that_a_listener_enters_does_not_reach_the_next_event', async (t) => {
  const { client, server } = await connectedPair(t)
  const [duplex, entries] = recorded(t, client)
  for (const name of ['data', 'end']) duplex.on(name, () => requests.enterWith(`entered by ${name}`))
  for (let count = 0; count < 3; count++) {
    server.send(Buffer.alloc(100_000))
    await nextTurn()
  }
  server.shutdown()
  await until(() => entries.some((entry) => entry.startsWith('end')))
  t.deepEqual(storesOf(entries), ['maker'])
})

test('a_stream_over_a_connection_has_a_store_of_its_own', async (t) => {
  const stores: unknown[] = []
  const { connection, accepted } = await requests.run('client', () =>
    connectionPair(t, { client: { socket: { close: () => stores.push(requests.getStore()) } } }),
  )
  const duplex = requests.run('maker', () => toDuplex(connection))
  duplex.on('data', () => stores.push(requests.getStore()))
  accepted.write('x')
  await once(duplex, 'data')
  requests.run('stranger', () => duplex.destroy())
  await until(() => stores.length === 2)
  t.deepEqual(stores, ['maker', 'client'])
})

test('iteration_and_promises_keep_the_store_of_the_program_that_reads', async (t) => {
  const { client, server } = await connectedPair(t)
  const [duplex] = recorded(t, client, [])
  server.send('hello')
  server.shutdown()
  const stores: unknown[] = []
  await requests.run('reader', async () => {
    for await (const _ of duplex) stores.push(requests.getStore())
    stores.push(requests.getStore())
  })
  t.deepEqual([...new Set(stores)], ['reader'])
})
