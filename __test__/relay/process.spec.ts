// The process, the thread and the asynchronous context of a relay.

import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import test from 'ava'
import { relay } from 'm-socket'

import { runModule } from '../support/child.js'
import { openObjects } from '../support/descriptors.js'
import { fixturePath } from '../support/fixture.js'
import { relaySides } from '../support/relayed.js'
import { receiveExactly } from '../support/waiting.js'

const SIDES = `
  import { Listener, Socket, relay } from 'm-socket'
  import { once } from 'node:events'
  import net from 'node:net'

  const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
  async function side() {
    const peer = net.connect(listener.address.port, '127.0.0.1')
    await once(peer, 'connect')
    let relayed
    while (!(relayed = listener.accept())) await new Promise((resolve) => setImmediate(resolve))
    return { peer: peer.unref(), relayed }
  }
  const [a, b] = [await side(), await side()]
  listener.close()
`

test('it_keeps_the_process_alive_until_it_ends', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `${SIDES}
    relay(a.relayed, b.relayed, { idleTimeout: 300 }).catch((error) => console.log(error.code))
    process.on('exit', () => console.log('exit'))`,
  )
  t.is(stderr, '')
  t.is(stdout, 'ETIMEDOUT\nexit\n')
  t.is(code, 0)
})

test('a_process_ends_after_its_relays', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `${SIDES}
    b.peer.on('data', (chunk) => console.log(String(chunk))).ref()
    a.peer.end('hello')
    b.peer.end()
    console.log(JSON.stringify(await relay(a.relayed, b.relayed, { idleTimeout: 1e6, signal: new AbortController().signal })))`,
  )
  t.is(stderr, '')
  t.deepEqual(stdout.trim().split('\n').sort(), ['hello', '{"aToB":5,"bToA":0}'])
  t.is(code, 0)
})

test('a_process_may_exit_in_the_middle', async (t) => {
  const { code, signal, stderr } = await runModule(
    t,
    `${SIDES}
    void relay(a.relayed, b.relayed)
    const bytes = Buffer.alloc(1 << 20)
    const send = () => a.peer.write(bytes, send)
    send()
    b.peer.resume().ref()
    setTimeout(() => process.exit(7), 200)`,
  )
  t.is(stderr, '')
  t.is(signal, null)
  t.is(code, 7)
})

test('a_failure_that_is_not_awaited_is_an_unhandled_rejection', async (t) => {
  const { code, stderr } = await runModule(t, `${SIDES}\nvoid relay(a.relayed, b.relayed, { idleTimeout: 20 })`)
  t.is(code, 1)
  t.regex(stderr, /relay ETIMEDOUT/)
})

test('the_promise_keeps_the_context_of_its_maker', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const all = await Promise.all(['one', 'two', 'three'].map(async (name) => ({ name, sides: await relaySides(t) })))
  const done = all.map(({ name, sides: { a, b } }, index) =>
    storage.run(name, async () => {
      await relay(a.relayed, b.relayed, index === 2 ? { idleTimeout: 30 } : {}).catch(() => {})
      seen[index] = storage.getStore()
    }),
  )
  for (const { sides } of all.slice(0, 2)) {
    sides.a.peer.close()
    sides.b.peer.close()
  }
  await Promise.all(done)
  t.deepEqual(seen, ['one', 'two', 'three'])
})

test.serial('workers_that_are_terminated_in_the_middle_leave_no_descriptor', async (t) => {
  const { a, b } = await relaySides(t)
  const relayed = relay(a.relayed, b.relayed)
  const before = openObjects()
  for (let round = 0; round < 6; round++) {
    const worker = new Worker(fixturePath('relaying-worker.ts'))
    await once(worker, 'message')
    t.true(openObjects().length > before.length)
    await worker.terminate()
  }
  t.deepEqual(openObjects(), before)
  a.peer.send('of this thread')
  t.is(String(await receiveExactly(b.peer, 14)), 'of this thread')
  a.peer.shutdown()
  b.peer.shutdown()
  await relayed
})
