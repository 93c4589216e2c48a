// What is called in the phase of the loop in which node:net's sockets emit 'close'.

import { once } from 'node:events'
import { stat } from 'node:fs'
import net from 'node:net'
import { Worker } from 'node:worker_threads'

import test, { type ExecutionContext } from 'ava'

import { inClosingPhase } from '../../lib/loop/closing-phase.js'
import { runModule } from '../support/child.js'

const MODULE = JSON.stringify(new URL('../../dist/loop/closing-phase.js', import.meta.url).href)

type Close = (callback: () => void) => void

/** From where something is closed: a phase of the loop. */
const PHASES: Record<string, (run: () => void) => void> = {
  a_timer: (run) => setTimeout(run, 1),
  an_immediate: (run) => setImmediate(run),
  the_polling_of_the_loop: (run) => stat('/', run),
}

/** Closes several things among timers, immediates, ticks and promises; resolves with the order of the calls. */
function order(from: (run: () => void) => void, close: Close): Promise<string[]> {
  const log: string[] = []
  const note = (name: string) => () => void log.push(name)
  return new Promise((resolve) => {
    const closeInside = (): void => {
      log.push('second')
      process.nextTick(note('tick of second'))
      void Promise.resolve().then(note('promise of second'))
      setImmediate(note('immediate of second'))
      close(() => {
        log.push('inside')
        setImmediate(() => resolve(log))
      })
    }
    from(() => {
      setImmediate(note('immediate before'))
      close(note('first'))
      close(closeInside)
      close(() => {
        log.push('third')
        process.nextTick(note('tick of third'))
      })
      setImmediate(note('immediate after'))
      process.nextTick(note('tick'))
      void Promise.resolve().then(note('promise'))
    })
  })
}

/** Closes a socket of node:net for each call. */
async function closingSockets(t: ExecutionContext, count: number): Promise<Close> {
  const server = net.createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const sockets = Array.from({ length: count }, () => net.connect(port, '127.0.0.1'))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return (callback) => void sockets.pop()!.once('close', callback).destroy()
}

for (const [name, from] of Object.entries(PHASES)) {
  test(`the_order_is_that_of_the_close_event_of_node_net: from ${name}`, async (t) => {
    const expected = await order(from, await closingSockets(t, 4))
    t.deepEqual(await order(from, inClosingPhase), expected)
  })
}

test('the_process_stays_alive_until_the_callback_has_run', async (t) => {
  const { stdout, code } = await runModule(
    t,
    `import { inClosingPhase } from ${MODULE}
     inClosingPhase(() => inClosingPhase(() => console.log('called')))`,
  )
  t.deepEqual([stdout, code], ['called\n', 0])
})

test('an_exception_is_uncaught_and_the_other_callbacks_run', async (t) => {
  const { stdout, stderr, code } = await runModule(
    t,
    `import { inClosingPhase } from ${MODULE}
     const caught = []
     process.on('uncaughtException', ({ message }) => caught.push(message))
     const fail = (message) => { throw new Error(message) }
     let called = 0
     for (const message of ['one', 'two', 'three']) {
       inClosingPhase(() => called++)
       inClosingPhase(() => fail(message))
       inClosingPhase(() => process.nextTick(fail, 'tick ' + message))
     }
     process.on('exit', () => console.log(called, caught.sort().join()))`,
  )
  t.deepEqual([stdout, stderr, code], ['3 one,three,tick one,tick three,tick two,two\n', '', 0])
})

test('an_exception_that_is_not_caught_ends_the_process', async (t) => {
  const { stderr, code } = await runModule(
    t,
    `import { inClosingPhase } from ${MODULE}
     inClosingPhase(() => { throw new Error('not caught') })`,
  )
  t.regex(stderr, /not caught/)
  t.is(code, 1)
})

for (const [name, source] of Object.entries({
  while_a_callback_runs: `inClosingPhase(() => { parentPort.postMessage(0); for (;;); })`,
  before_the_callbacks: `parentPort.postMessage(0); for (;;);`,
  that_exits_in_a_callback: `inClosingPhase(() => { parentPort.postMessage(0); process.exit() })`,
})) {
  test(`a_worker_ends: ${name}`, async (t) => {
    const program = `
      const { parentPort } = require('node:worker_threads')
      import(${MODULE}).then(({ inClosingPhase }) => {
        for (let count = 0; count < 100; count++) inClosingPhase(() => {})
        ${source}
      })`
    const worker = new Worker(program, { eval: true, execArgv: [] })
    t.teardown(() => worker.terminate())
    const exited = once(worker, 'exit')
    await once(worker, 'message')
    await worker.terminate()
    await exited
    t.pass()
  })
}
