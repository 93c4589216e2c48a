import { readFileSync, readdirSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import * as native from 'm-socket/native'

import { runModule } from '../support/child.js'
import { openObjects } from '../support/descriptors.js'
import { connectedPair } from '../support/pair.js'
import { assertIdle, sleep } from '../support/timing.js'

// The poll thread, which waits on Bun and Deno. These tests run it on every runtime.

const READ = 1
const EDGE = 0
const events = new Uint8Array(800)

/** A referenced multiplexer whose poll thread calls `onReady`; closed at the end of the test. */
function threaded(t: ExecutionContext, onReady: (plex: number) => void): number {
  const plex = native.openMultiplexer(() => onReady(plex), true)
  t.true(plex > 0)
  t.teardown(() => native.closeMultiplexer(plex))
  native.setReferenced(plex, true)
  return plex
}

/** The number of poll threads of this process. They are named `m-socket`. */
function threads(): number {
  const names = readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()
    } catch {
      return 'ended'
    }
  })
  return names.filter((name) => name === 'm-socket').length
}

async function waitFor(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!condition() && performance.now() < end) await sleep(5)
}

test.serial('closing_a_multiplexer_ends_its_thread_and_closes_its_descriptors', async (t) => {
  const [running, open] = [threads(), openObjects()]
  const plexes = Array.from({ length: 5 }, () => native.openMultiplexer(() => {}, true))
  const each = ['anon_inode:[eventfd]', 'anon_inode:[eventpoll]', 'anon_inode:[timerfd]']
  t.deepEqual(openObjects(), [...open, ...Array(5).fill(each).flat()].sort())
  for (const plex of plexes) t.is(native.closeMultiplexer(plex), 0)
  // A join returns before the kernel has removed the thread from /proc: set_tid_address(2).
  await waitFor(() => threads() === running)
  t.deepEqual(openObjects(), open)
})

test.serial('each_edge_is_reported_once_and_not_again_after_draining', async (t) => {
  const { client, server } = await connectedPair(t, 'unix')
  let [calls, reported] = [0, 0]
  const plex = threaded(t, (plex) => {
    calls++
    reported += native.wait(plex, 0, events)
  })
  native.addDescriptor(plex, server.fd, READ, EDGE)
  for (let round = 1; round <= 20; round++) {
    client.send('x')
    await waitFor(() => reported === round)
    server.receive(events)
    native.wait(plex, 0, events)
  }
  t.is(reported, 20)
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
  const word = new Int32Array(new SharedArrayBuffer(4))
  await assertIdle(t, async () => {
    client.send('x')
    // The epoll descriptor stays readable for 300 ms, because nothing drains it.
    Atomics.wait(word, 0, 0, 300)
    await sleep(300)
  })
  t.is(calls, 1)
})

test('only_a_referenced_multiplexer_keeps_the_process_alive', async (t) => {
  const source = (referenced: boolean): string => `
    import * as native from 'm-socket/native'
    const plex = native.openMultiplexer(() => {}, true)
    native.setReferenced(plex, true)
    native.setReferenced(plex, true)
    native.setReferenced(plex, ${referenced})
    setTimeout(() => {
      console.log('alive')
      native.setReferenced(plex, false)
    }, ${referenced ? 100 : 60_000}).unref()`
  for (const [referenced, expected] of [
    [true, 'alive\n'],
    [false, ''],
  ] as const) {
    const { code, stdout, stderr } = await runModule(t, source(referenced))
    t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: expected, stderr: '' })
  }
})

test('an_error_in_the_callback_is_an_uncaught_exception_and_the_thread_continues', async (t) => {
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

test('terminated_workers_leave_no_thread_and_no_descriptor', async (t) => {
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
    const before = await lowest(0)
    for (let worker = 0; worker < ${WORKERS}; worker++) await terminateOne()
    console.log(JSON.stringify([before, await lowest(before)]))
    process.exit()
    async function terminateOne() {
      const worker = new Worker(url)
      await once(worker, 'message')
      await worker.terminate()
    }
    async function lowest(atMost) {
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
  // The runtime itself may have opened one or two of its own in between.
  t.true(after < before + WORKERS / 4, `${before} before, ${after} after`)
})
