// Sockets move between threads.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import test from 'ava'
import { type DetachedSocket, Socket } from 'm-socket'

import { openSockets } from '../support/descriptors.js'
import { fixturePath, runFixture } from '../support/fixture.js'
import { connectedPair, resetAtEnd } from '../support/pair.js'
import { travel } from '../support/travel.js'
import { receiveExactly, receiveToEnd } from '../support/waiting.js'

const MIB = 2 ** 20

for (const family of ['tcp', 'unix'] as const) {
  test.serial(`a_connection_that_moves_between_two_workers_in_mid_stream_loses_no_byte (${family})`, async (t) => {
    const { moves, sent, received } = await travel(100, 64 * MIB, family)
    t.is(moves, 100)
    t.is(received, sent)
  })
}

test.serial('200_workers_terminated_while_they_hold_and_pass_sockets_leave_no_descriptor', async (t) => {
  const { code, signal, stdout, stderr } = await runFixture(t, 'terminate-travellers.ts', 200)
  t.is(signal, null, stderr)
  t.is(code, 0, stderr)
  const { before, after, counts } = JSON.parse(stdout) as Terminated
  t.log(JSON.stringify(counts))
  t.is(counts['workers'], 200)
  for (const outcome of ['received', 'back', 'gone']) t.true(counts[outcome]! > 0, outcome)
  t.is(after.length, before.length, after.join(' '))
})

interface Terminated {
  readonly before: string[]
  readonly after: string[]
  readonly counts: Record<string, number>
}

test.serial('a_socket_is_closed_with_the_thread_that_has_detached_it', async (t) => {
  const before = openSockets()
  const { client, server } = await connectedPair(t)
  const worker = new Worker(fixturePath('passing-worker.ts'), { workerData: 'gives' })
  const answer = once(worker, 'message') as Promise<[DetachedSocket[]]>
  worker.postMessage([server.detach()])
  const [[detached]] = await answer
  await worker.terminate()
  t.throws(() => Socket.attach(detached!), { code: 'ERR_INVALID_STATE' })
  t.is((await receiveToEnd(client)).length, 0)
  client.close()
  t.deepEqual(openSockets(), before)
})

test.serial('what_a_worker_did_not_take_is_taken_back_when_it_has_ended', async (t) => {
  const { client, server } = await connectedPair(t)
  const worker = new Worker('setInterval(() => {}, 1000)', { eval: true })
  await once(worker, 'online')
  const detached = server.detach()
  worker.postMessage(detached)
  client.send('not lost')
  await worker.terminate()
  const attached = resetAtEnd(t, Socket.attach(detached))
  t.is((await receiveExactly(attached, 8)).toString(), 'not lost')
})

test.serial('a_process_with_detached_sockets_ends', async (t) => {
  const { code, stdout } = await runFixture(t, 'detached.ts')
  t.is(code, 0)
  t.is(stdout, 'end\n')
})
