import test, { type ExecutionContext } from 'ava'

import { runModule } from '../support/child.js'

// Fake timers replace the global functions, those of node:timers and node:timers/promises, and performance.now(). Each
// test is a process of its own, in which nothing that was replaced ever calls back.

const PROGRAM = `
  import assert from 'node:assert/strict'
  import { once } from 'node:events'
  import { syncBuiltinESMExports } from 'node:module'
  import { performance as clock } from 'node:perf_hooks'
  import timers from 'node:timers'
  import promises from 'node:timers/promises'
  import { connect, Listener, listen, Multiplexer, Socket, toDuplex, toWeb } from 'm-socket'

  const { setTimeout } = globalThis
  const limit = setTimeout(() => { console.log('stuck'); process.exit(1) }, 20_000)
  const never = { ref() { return this }, unref() { return this }, hasRef: () => false, refresh() { return this }, close() {} }
  for (const place of [globalThis, timers]) {
    for (const name of ['setTimeout', 'setImmediate', 'setInterval']) place[name] = () => never
    for (const name of ['clearTimeout', 'clearImmediate', 'clearInterval']) place[name] = () => {}
  }
  for (const name of ['setTimeout', 'setImmediate']) promises[name] = () => new Promise(() => {})
  globalThis.queueMicrotask = () => {}
  // Node's streams use this one as it is when they need it.
  const { nextTick } = process
  globalThis.performance.now = clock.now = () => 0
  globalThis.Date.now = () => 0
  syncBuiltinESMExports()

  const here = { host: '127.0.0.1', port: 0 }
  const at = (server) => ({ host: '127.0.0.1', port: server.port })
`

async function runs(t: ExecutionContext, source: string): Promise<void> {
  const { code, stdout, stderr } = await runModule(
    t,
    `${PROGRAM}${source}\nclearTimeout(limit)\nconsole.log('done')\nprocess.exit()`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'done\n', stderr: '' })
}

test('handlers_and_iterations_do_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    const server = listen({ ...here, socket: { open: (c) => void c.end('hello'), data() {} } })
    let got = ''
    for await (const chunk of await connect(at(server))) got += chunk
    assert.equal(got, 'hello')
    await server.close()
    const listener = Listener.bind({ host: '127.0.0.1' })
    const sockets = Array.from({ length: 70 }, () => Socket.connect({ port: listener.address.port }))
    let accepted = 0
    for await (const socket of listener) {
      socket.reset()
      if (++accepted === sockets.length) break
    }
    for (const socket of sockets) socket.reset()
    listener.close()`,
  )
})

test('closing_a_connection_outside_of_a_batch_does_not_use_a_replaced_queueMicrotask', async (t) => {
  await runs(
    t,
    `
    const server = listen({ ...here, socket: { data() {} } })
    await new Promise((resolve) => {
      void connect({ ...at(server), socket: { data() {}, close: resolve } }).then((it) => it.terminate())
    })
    await server.close()`,
  )
})

test('what_a_handler_throws_is_an_uncaught_exception_although_nextTick_was_replaced', async (t) => {
  await runs(
    t,
    `
    const caught = []
    process.on('uncaughtException', (error) => void caught.push(error.message))
    const server = listen({ ...here, socket: { open() { throw new Error('thrown') } } })
    process.nextTick = () => {}
    const client = Socket.connect(at(server))
    // Node itself needs a timer to go on after an exception.
    while (caught.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    process.nextTick = nextTick
    assert.deepEqual(caught, ['thrown'])
    client.reset()
    server.stop(true)`,
  )
})

test('the_time_limits_of_connect_do_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    // A backlog that is full: further connects get no answer.
    const listener = Listener.bind({ host: '127.0.0.1', backlog: 0 })
    const waiting = Array.from({ length: 4 }, () => Socket.connect({ port: listener.address.port }))
    await assert.rejects(connect({ ...at(listener.address), connectTimeout: 100 }), { code: 'ETIMEDOUT' })
    for (const socket of waiting) socket.reset()
    listener.close()`,
  )
})

test('idle_times_do_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    const server = listen({ ...here, allowHalfOpen: true })
    const calls = []
    await new Promise((resolve) => {
      const socket = { timeout: () => void calls.push('timeout'), close: resolve }
      void connect({ ...at(server), idleTimeout: 50, socket })
    })
    assert.deepEqual(calls, ['timeout'])
    await server.close({ timeout: 50 })`,
  )
})

test('the_time_limit_of_close_does_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    const server = listen({ ...here, allowHalfOpen: true, socket: { data() {} } })
    const connection = await connect(at(server))
    while (server.connections === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    await server.close({ timeout: 50 })
    connection.terminate()`,
  )
})

test('waits_of_a_multiplexer_do_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    const listener = Listener.bind({ host: '127.0.0.1' })
    const multiplexer = new Multiplexer(listener)
    assert.deepEqual(await multiplexer.wait(50), [])
    assert.deepEqual(multiplexer.waitSync(20), [])
    multiplexer.wake()
    assert.deepEqual(await multiplexer.wait(), [])
    const socket = Socket.connect({ port: listener.address.port })
    multiplexer.add(socket, 'rw', 'level')
    let events = 0
    for (let waits = 0; waits < 20; waits++) events += (await multiplexer.wait()).length
    assert.ok(events >= 20)
    multiplexer.close()
    socket.reset()
    listener.close()`,
  )
})

test('streams_do_not_use_replaced_timers', async (t) => {
  await runs(
    t,
    `
    const server = listen({ ...here, socket: { data: (c, chunk) => void c.end(chunk) } })
    const duplex = toDuplex(await connect(at(server)))
    duplex.end('hello')
    let got = ''
    for await (const chunk of duplex) got += chunk
    assert.equal(got, 'hello')
    if (!duplex.closed) await once(duplex, 'close')
    const web = toWeb(await connect(at(server)))
    const writer = web.writable.getWriter()
    await writer.write('hello')
    const reader = web.readable.getReader()
    assert.equal(Buffer.from((await reader.read()).value).toString(), 'hello')
    assert.ok((await reader.read()).done)
    await server.close()`,
  )
})
