import { readFileSync, readdirSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import * as native from 'm-socket/native'

import { runModule } from '../support/child.js'
import { openObjects } from '../support/descriptors.js'
import { assertIdle, sleep } from '../support/timing.js'
import { connectedPair } from '../support/pair.js'

// What carries the wait on Bun and Deno, on whatever runs the tests.

const READ = 1
const EDGE = 0
const events = new Uint8Array(800)

/** A multiplexer with a thread that waits for it, and what it has been told of. */
function threaded(t: ExecutionContext, onReady: (plex: number) => void): number {
  const plex = native.openMultiplexer(() => onReady(plex), true)
  t.true(plex > 0)
  t.teardown(() => native.closeMultiplexer(plex))
  native.setReferenced(plex, true)
  return plex
}

/** How many threads of ours this process has. */
function threads(): number {
  const names = readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()
    } catch {
      return 'ended meanwhile'
    }
  })
  return names.filter((name) => name === 'm-socket').length
}

async function waitFor(holds: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!holds() && performance.now() < end) await sleep(5)
}

test.serial('the_thread_is_there_as_long_as_the_multiplexer_and_so_are_its_descriptors', async (t) => {
  const [running, open] = [threads(), openObjects()]
  const plexes = Array.from({ length: 5 }, () => native.openMultiplexer(() => {}, true))
  const each = ['anon_inode:[eventfd]', 'anon_inode:[eventpoll]']
  t.deepEqual(openObjects(), [...open, ...Array(5).fill(each).flat()].sort())
  for (const plex of plexes) t.is(native.closeMultiplexer(plex), 0)
  // Who joins a thread is woken before the kernel has taken it from /proc: set_tid_address(2).
  await waitFor(() => threads() === running)
  t.deepEqual(openObjects(), open)
})

test.serial('each_edge_is_told_of_once_and_what_is_drained_no_more', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  let [calls, told] = [0, 0]
  const plex = threaded(t, (plex) => {
    calls++
    told += native.wait(plex, 0, events)
  })
  native.addDescriptor(plex, server.fd, READ, EDGE)
  for (let round = 1; round <= 20; round++) {
    client.send('x')
    await waitFor(() => told === round)
    server.receive(events)
    native.wait(plex, 0, events)
  }
  t.is(told, 20)
  t.true(calls >= 20 && calls <= 40, `${calls} calls`)
})

test.serial('the_thread_does_not_spin_while_javascript_is_busy_or_asleep', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  let calls = 0
  const plex = threaded(t, (plex) => {
    calls++
    native.wait(plex, 0, events)
  })
  native.addDescriptor(plex, server.fd, READ, EDGE)
  const lap = new Int32Array(new SharedArrayBuffer(4))
  await assertIdle(t, async () => {
    client.send('x')
    // The epoll descriptor stays readable for so long: nobody drains it.
    Atomics.wait(lap, 0, 0, 300)
    await sleep(300)
  })
  t.is(calls, 1)
})

test('a_held_multiplexer_holds_the_process_and_another_does_not', async (t) => {
  const source = (held: boolean): string => `
    import * as native from 'm-socket/native'
    const plex = native.openMultiplexer(() => {}, true)
    native.setReferenced(plex, true)
    native.setReferenced(plex, true)
    native.setReferenced(plex, ${held})
    setTimeout(() => {
      console.log('held')
      native.setReferenced(plex, false)
    }, ${held ? 100 : 60_000}).unref()`
  const held = await runModule(t, source(true))
  t.deepEqual({ code: held.code, stdout: held.stdout, stderr: held.stderr }, { code: 0, stdout: 'held\n', stderr: '' })
  const free = await runModule(t, source(false))
  t.deepEqual({ code: free.code, stdout: free.stdout, stderr: free.stderr }, { code: 0, stdout: '', stderr: '' })
})

test('what_the_callback_throws_is_an_uncaught_exception_and_the_thread_goes_on', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `
    import { Listener, Socket } from 'm-socket'
    import * as native from 'm-socket/native'
    const listener = globalThis.listener = Listener.bind({ host: '127.0.0.1' })
    const thrown = []
    process.on('uncaughtException', (error) => {
      thrown.push(error.message)
      if (thrown.length === 3) return finish()
      connect()
    })
    let calls = 0
    const plex = native.openMultiplexer(() => {
      native.wait(plex, 0, new Uint8Array(800))
      throw new Error('call ' + ++calls)
    }, true)
    native.addDescriptor(plex, listener.fd, 1, 0)
    native.setReferenced(plex, true)
    const sockets = []
    connect()
    function connect() {
      sockets.push(Socket.connect({ port: listener.address.port }))
    }
    function finish() {
      console.log(thrown.join(', '))
      native.closeMultiplexer(plex)
      for (const socket of sockets) socket.close()
      listener.close()
    }`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'call 1, call 2, call 3\n', stderr: '' })
})

test('workers_that_are_terminated_leave_neither_thread_nor_descriptor', async (t) => {
  const WORKERS = 40
  const { code, signal, stdout, stderr } = await runModule(
    t,
    `
    import { once } from 'node:events'
    import { readdirSync, readlinkSync } from 'node:fs'
    import { setTimeout as sleep } from 'node:timers/promises'
    import { Worker } from 'node:worker_threads'
    const source = \`
      import { Listener, Socket } from \${JSON.stringify(import.meta.resolve('m-socket'))}
      import * as native from \${JSON.stringify(import.meta.resolve('m-socket/native'))}
      import { parentPort } from 'node:worker_threads'
      const listener = globalThis.listener = Listener.bind({ host: '127.0.0.1' })
      const events = new Uint8Array(800)
      let calls = 0
      const plex = native.openMultiplexer(() => {
        native.wait(plex, 0, events)
        if (++calls === 3) parentPort.postMessage('busy')
        connect()
      }, true)
      native.setReferenced(plex, true)
      native.addDescriptor(plex, listener.fd, 1, 0)
      connect()
      function connect() {
        listener.accept()?.reset()
        globalThis.socket = Socket.connect({ port: listener.address.port })
      }\`
    const url = new URL('data:text/javascript,' + encodeURIComponent(source))
    await terminateOne()
    const before = await settled(0)
    for (let worker = 0; worker < ${WORKERS}; worker++) await terminateOne()
    console.log(JSON.stringify([before, await settled(before)]))
    process.exit()
    async function terminateOne() {
      const worker = new Worker(url)
      await once(worker, 'message')
      await worker.terminate()
    }
    async function settled(atMost) {
      let now = open()
      for (let turn = 0; turn < 50 && now > atMost; turn++) {
        await sleep(10)
        now = Math.min(now, open())
      }
      return now
    }
    function open() {
      return readdirSync('/proc/self/fd').filter((fd) => {
        try { return /eventfd|eventpoll|socket/.test(readlinkSync('/proc/self/fd/' + fd)) } catch { return false }
      }).length
    }`,
  )
  t.is(signal, null, stderr)
  t.is(code, 0, stderr)
  const [before, after] = JSON.parse(stdout) as [number, number]
  // A host opens one or two of its own at any time.
  t.true(after < before + WORKERS / 4, `${before} before, ${after} after`)
})
