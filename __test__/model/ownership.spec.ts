// A descriptor that a Socket or Listener owns is adopted by no other one, in no thread of the process.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import test, { type ExecutionContext } from 'ava'
import { Listener, Socket, SocketError } from 'm-socket'
import * as native from 'm-socket/native'

import { fixturePath } from '../support/fixture.js'
import { addressOf, connectedPair, resetAtEnd, testListener } from '../support/pair.js'
import { acceptNext, receiveExactly, until } from '../support/waiting.js'

function startWorker(t: ExecutionContext): Worker {
  const worker = new Worker(fixturePath('adopting-worker.ts'))
  t.teardown(() => worker.terminate())
  return worker
}

/** The worker's answer to a message. */
async function ask(worker: Worker, message: unknown): Promise<unknown> {
  const answer = once(worker, 'message')
  worker.postMessage(message)
  return ((await answer) as unknown[])[0]
}

/** The code with which adopting a descriptor fails here. */
function refusal(t: ExecutionContext, fd: number): string | undefined {
  return t.throws(() => Socket.adopt(fd), { instanceOf: SocketError })?.code
}

test.serial('a_worker_does_not_adopt_what_another_thread_owns', async (t) => {
  const listener = testListener(t)
  const { client, server } = await connectedPair(t)
  const answers = await ask(startWorker(t), [
    ['listen', listener.fd],
    ['Listener', listener.fd],
    ['Socket', listener.fd],
    ['Listener', client.fd],
    ['Socket', client.fd],
    ['Socket', server.fd],
  ])
  t.deepEqual(answers, Array(6).fill('EEXIST'))
  resetAtEnd(t, Socket.connect(addressOf(listener)))
  resetAtEnd(t, await acceptNext(listener))
  server.send('it works')
  t.is((await receiveExactly(client, 8)).toString(), 'it works')
})

test.serial('what_a_worker_owns_is_not_adopted_here_until_it_is_closed', async (t) => {
  const worker = startWorker(t)
  const fd = (await ask(worker, 'open')) as number
  t.is(refusal(t, fd), 'EEXIST')
  const owned = `a Socket, a Listener or a Multiplexer of this process has descriptor ${fd} already`
  t.throws(() => Socket.adopt(fd), { message: `adopt EEXIST: ${owned}` })
  t.throws(() => Listener.bind({ fd }), { instanceOf: SocketError, code: 'EEXIST', message: `listen EEXIST: ${owned}` })
  t.is(await ask(worker, 'close'), 'closed')
  t.not(refusal(t, fd), 'EEXIST')
})

test.serial('what_a_terminated_worker_owned_is_owned_no_more', async (t) => {
  const worker = startWorker(t)
  const fd = (await ask(worker, 'open')) as number
  t.is(refusal(t, fd), 'EEXIST')
  await worker.terminate()
  // Deno ends the environment a little later.
  await until(() => refusal(t, fd) !== 'EEXIST')
})

test.serial('a_descriptor_is_adopted_by_one_of_two_workers', async (t) => {
  // Listening sockets that no object owns.
  const descriptors = Array.from({ length: 50 }, () => {
    const handle = native.open(4)
    native.bind(handle, '127.0.0.1', 0)
    native.listen(handle, 1)
    const fd = native.descriptor(handle)
    native.disown(handle)
    return fd
  })
  const workers = [startWorker(t), startWorker(t)]
  for (const worker of workers) await ask(worker, [])
  const message = descriptors.map((fd) => ['Listener', fd])
  const [first, second] = (await Promise.all(workers.map((worker) => ask(worker, message)))) as [string[], string[]]
  t.deepEqual(
    descriptors.map((_, index) => [first[index], second[index]].sort()),
    descriptors.map(() => ['EEXIST', 'adopted']),
  )
})

test.serial('a_descriptor_that_could_not_be_adopted_may_be_adopted_later', (t) => {
  const handle = native.open(4)
  native.bind(handle, '127.0.0.1', 0)
  native.listen(handle, 1)
  const fd = native.descriptor(handle)
  native.disown(handle)
  t.is(refusal(t, fd), 'ENOTCONN')
  t.throws(() => Listener.bind({ fd, noDelay: 'yes' as never }), { instanceOf: TypeError })
  // Known only after the descriptor has been adopted: it is given up again.
  t.throws(() => Listener.bind({ fd, congestion: 'nonesuch' }), { instanceOf: SocketError, code: 'ENOENT' })
  const listener = Listener.bind({ fd })
  t.is(listener.fd, fd)
  listener.close()
})
