import type { ChildProcess } from 'node:child_process'

import test, { type ExecutionContext } from 'ava'
import type { Listener } from 'm-socket'

import { outcomeOf, runModule, startModule } from '../support/child.js'
import { testListener } from '../support/pair.js'
import { acceptNext, receiveToEnd } from '../support/waiting.js'

/** A program that ends its side of a stream and waits for the peer's end, if something keeps it alive that long. */
function patient(t: ExecutionContext, reference: string): { child: ChildProcess; listener: Listener } {
  const listener = testListener(t)
  const child = startModule(
    t,
    `import { Socket, toDuplex } from 'm-socket'
    const duplex = toDuplex(Socket.connect({ port: ${(listener.address as { port: number }).port} }))${reference}
    duplex.on('end', () => console.log('ended')).resume()
    duplex.end()`,
  )
  return { child, listener }
}

for (const reference of ['', '.unref().ref()']) {
  test(`an_open_stream_keeps_the_process_alive ('${reference}')`, async (t) => {
    const { child, listener } = patient(t, reference)
    const outcome = outcomeOf(child)
    const peer = await acceptNext(listener)
    t.teardown(() => peer.close())
    await receiveToEnd(peer)
    await new Promise((resolve) => setTimeout(resolve, 300))
    t.is(child.exitCode, null)
    peer.close()
    t.like(await outcome, { code: 0, stdout: 'ended\n', stderr: '' })
  })
}

test('an_unreferenced_stream_does_not_keep_the_process_alive', async (t) => {
  const { child } = patient(t, '.unref()')
  t.like(await outcomeOf(child), { code: 0, stdout: '', stderr: '' })
})

test('queued_output_of_an_unreferenced_stream_is_sent_before_the_process_exits', async (t) => {
  const listener = testListener(t)
  const { port } = listener.address as { port: number }
  const outcome = runModule(
    t,
    `import { Socket, toDuplex } from 'm-socket'
    toDuplex(Socket.connect({ port: ${port} })).unref().end(Buffer.alloc(8_000_000, 'x'))`,
  )
  const peer = await acceptNext(listener)
  t.teardown(() => peer.close())
  t.is((await receiveToEnd(peer)).length, 8_000_000)
  t.like(await outcome, { code: 0, stderr: '' })
})

test('an_exception_in_a_data_listener_is_uncaught_and_affects_no_other_stream', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `import { Listener, Socket, toDuplex } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const { port } = listener.address
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    let left = 10
    for (let index = 0; index < 10; index++) toDuplex(Socket.connect({ port })).resume().end(String(index))
    for await (const socket of listener) {
      const duplex = toDuplex(socket)
      duplex.on('data', (chunk) => {
        if (Number(chunk) % 2) throw new Error(chunk)
        console.log('read', String(chunk))
      })
      duplex.on('end', () => {
        duplex.destroy()
        if (--left === 0) listener.close()
      })
    }`,
  )
  const expected = Array.from({ length: 10 }, (_, index) => `${index % 2 ? 'uncaught' : 'read'} ${index}`)
  t.deepEqual(stdout.trimEnd().split('\n').toSorted(), expected.toSorted())
  t.is(code, 0, stderr)
})
