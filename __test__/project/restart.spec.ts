import { once } from 'node:events'
import { connect } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import type { Listener } from 'm-socket'

import { outcomeOf, sendSignal } from '../support/child.js'
import { holdDialogues } from '../support/dialogues.js'
import { type RunningExample, exampleArguments, startServer } from '../support/example.js'
import { inetAddressOf, testListener } from '../support/pair.js'
import { startWithDescriptorsFrom3 } from '../support/passed-descriptors.js'
import { freePath } from '../support/unix.js'

type Process = RunningExample & { readonly port: number }

/** Starts the example; it prints where it listens when it serves. */
async function start(t: ExecutionContext, control: string, port = 0): Promise<Process> {
  return startServer(t, 'restart', ['--host', '127.0.0.1', '--port', String(port), '--control', control])
}

test.serial('restart: twenty_in_a_row_cut_no_dialogue', async (t) => {
  t.timeout(10 * 60_000, 'twenty starts of a process')
  const control = freePath(t)
  let current = await start(t, control)
  const { port } = current
  let isOver = false
  const load = holdDialogues({ host: '127.0.0.1', port }, 20, () => isOver)
  const pids = new Set([current.child.pid])
  for (let restart = 0; restart < 20; restart++) {
    const old = current
    current = await start(t, control)
    pids.add(current.child.pid)
    t.is(current.port, port)
    const { code, signal, stderr } = await old.outcome
    t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  }
  isOver = true
  const { held, failures } = await load
  t.deepEqual(failures, [])
  t.log(`${held} dialogues`)
  t.true(held > 500)
  t.is(pids.size, 21)
  sendSignal(current.child, 'SIGTERM')
  t.is((await current.outcome).code, 0)
})

test.serial('restart: an_open_connection_stays_with_the_old_process_until_it_ends', async (t) => {
  const control = freePath(t)
  const old = await start(t, control)
  const client = connect(old.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  client.write('before')
  t.is(String(await once(client, 'data')), 'before')
  const successor = await start(t, control)
  client.write('after')
  t.is(String(await once(client, 'data')), 'after')
  t.is(old.child.exitCode, null)
  client.end()
  t.is((await old.outcome).code, 0)
  sendSignal(successor.child, 'SIGTERM')
  t.is((await successor.outcome).code, 0)
})

test.serial('restart: a_successor_that_fails_leaves_the_old_process_as_it_was', async (t) => {
  const control = freePath(t)
  const old = await start(t, control)
  for (let failed = 0; failed < 3; failed++) {
    const visitor = connect(control)
    await once(visitor, 'connect')
    visitor.destroy()
  }
  const client = connect(old.port, '127.0.0.1')
  client.end('still here')
  t.is(String(await once(client, 'data')), 'still here')
  sendSignal(old.child, 'SIGTERM')
  t.is((await old.outcome).code, 0)
})

test.serial('restart: SIGHUP_starts_the_successor', async (t) => {
  const old = await start(t, freePath(t))
  const output = once(old.child.stdout!, 'data')
  sendSignal(old.child, 'SIGHUP')
  const [, pid] = /^Listening on \S+ port \d+ \(process (\d+)\)$/m.exec(String(await output))!
  t.not(Number(pid), old.child.pid)
  process.kill(Number(pid), 'SIGTERM')
  t.is((await old.outcome).code, 0)
})

test.serial('restart: by_a_service_manager_that_keeps_the_listener_cuts_no_dialogue', async (t) => {
  // As systemd does: the next process is started when the last one has ended, and clients wait in the backlog.
  const listener = testListener(t)
  let isOver = false
  const load = holdDialogues(inetAddressOf(listener), 20, () => isOver)
  for (let restart = 0; restart < 5; restart++) {
    const service = await startPassed(t, listener)
    await new Promise((resolve) => setTimeout(resolve, 200))
    sendSignal(service.child, 'SIGTERM')
    t.is((await service.outcome).code, 0)
  }
  isOver = true
  const last = await startPassed(t, listener)
  const { held, failures } = await load
  t.deepEqual(failures, [])
  t.true(held > 100)
  sendSignal(last.child, 'SIGTERM')
  t.is((await last.outcome).code, 0)
})

/** Starts the example with a listener that is open already; resolves when it serves. */
async function startPassed(t: ExecutionContext, listener: Listener): Promise<RunningExample> {
  const args = exampleArguments('restart', ['--control', freePath(t)])
  const child = startWithDescriptorsFrom3(t, [listener], { LISTEN_FDS: '1' }, args)
  const outcome = outcomeOf(child)
  await once(child.stdout!, 'data')
  return { child, outcome }
}
