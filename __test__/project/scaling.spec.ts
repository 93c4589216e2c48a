import { once } from 'node:events'
import { connect } from 'node:net'

import test, { type ExecutionContext } from 'ava'

import { sendSignal } from '../support/child.js'
import { holdDialogues } from '../support/dialogues.js'
import { ANYWHERE, interrupt, startServer } from '../support/example.js'
import { until } from '../support/waiting.js'

const EXAMPLES = ['reuse-port', 'least-loaded'] as const

for (const name of EXAMPLES) {
  test.serial(`${name}: workers_are_replaced_under_load_and_no_dialogue_is_cut`, async (t) => {
    t.timeout(5 * 60_000, 'twelve starts of a worker')
    const server = await startServer(t, name, [...ANYWHERE, '--workers', '3'])
    const { child, port } = server
    let isOver = false
    let begun = 0
    const load = holdDialogues({ host: '127.0.0.1', port }, 20, () => (begun++, isOver))
    for (let restart = 0; restart < 3; restart++) {
      const output = once(child.stdout!, 'data')
      sendSignal(child, 'SIGHUP')
      t.is(String(await output), 'All workers are new\n')
      const before = begun
      await until(() => begun > before + 300)
    }
    isOver = true
    const { held, failures } = await load
    t.deepEqual(failures, [])
    t.log(`${held} dialogues`)
    t.true(held > 500)
    await interrupt(t, server)
  })

  test.serial(`${name}: a_connection_stays_with_its_worker_until_it_ends`, async (t) => {
    const server = await startServer(t, name, [...ANYWHERE, '--workers', '2'])
    const client = connect(server.port, '127.0.0.1')
    t.teardown(() => client.destroy())
    const before = await worker(client)
    const output = once(server.child.stdout!, 'data')
    sendSignal(server.child, 'SIGHUP')
    await output
    t.is(await worker(client), before)
    const other = connect(server.port, '127.0.0.1')
    t.not(await worker(other), before)
    for (const each of [client, other]) each.end()
    await interrupt(t, server)
  })
}

test.serial('least-loaded: connections_go_to_the_worker_that_has_the_fewest', async (t) => {
  const server = await startServer(t, 'least-loaded', [...ANYWHERE, '--workers', '3'])
  const clients = await connectAll(t, server.port, 9)
  t.deepEqual([...counts(clients.map(({ worker }) => worker)).values()], [3, 3, 3])
  const left = clients[0]!.worker
  for (const { worker, socket } of clients) {
    if (worker !== left) continue
    socket.end()
    await once(socket.resume(), 'close')
  }
  const next = await connectAll(t, server.port, 3)
  t.deepEqual(
    next.map(({ worker }) => worker),
    [left, left, left],
  )
  for (const { socket } of [...clients, ...next]) socket.destroy()
  await interrupt(t, server)
})

test.serial('reuse-port: each_worker_gets_connections', async (t) => {
  const server = await startServer(t, 'reuse-port', [...ANYWHERE, '--workers', '2'])
  const clients = await connectAll(t, server.port, 100)
  const balance = counts(clients.map(({ worker }) => worker))
  t.log(`connections of the workers: ${[...balance.values()].join(', ')}`)
  t.is(balance.size, 2)
  for (const { socket } of clients) socket.destroy()
  await interrupt(t, server)
})

/** Connects clients one after the other, and asks each who serves it. */
async function connectAll(t: ExecutionContext, port: number, count: number) {
  const clients = []
  for (let client = 0; client < count; client++) {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    clients.push({ socket, worker: await worker(socket) })
  }
  return clients
}

async function worker(socket: ReturnType<typeof connect>): Promise<string> {
  socket.write('who?')
  return String(((await once(socket, 'data')) as [Buffer])[0])
}

function counts(values: string[]): Map<string, number> {
  const found = new Map<string, number>()
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1)
  return found
}
