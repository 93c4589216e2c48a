import { constants } from 'node:os'

import test from 'ava'
import { Multiplexer, Socket } from 'm-socket'

import * as native from '../../lib/native.js'
import { runWithDescriptors } from '../support/child.js'
import { run } from '../support/fixture.js'
import { addressOf, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { sourceArguments } from '../support/runtime.js'
import { runUnderStrace } from '../support/strace.js'
import { freePath } from '../support/unix.js'

const ROOT = new URL('../..', import.meta.url)

test('truth 14: a_listener_is_reported_until_its_backlog_is_empty', async (t) => {
  const listener = testListener(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r', 'edge')
  for (let index = 0; index < 3; index++) resetAtEnd(t, Socket.connect(addressOf(listener)))
  for (let index = 0; index < 3; index++) {
    t.is((await multiplexer.wait(5000)).length, 1)
    const accepted = listener.accept()
    t.truthy(accepted)
    resetAtEnd(t, accepted!)
  }
  t.deepEqual(multiplexer.poll(), [])
  t.is(listener.accept(), null)
})

const ACCEPT_ONE = `
  import { Listener, Multiplexer, Socket } from 'm-socket'
  const listener = Listener.bind({ host: '127.0.0.1' })
  const client = Socket.connect({ host: '127.0.0.1', port: listener.address.port })
  const multiplexer = new Multiplexer(listener)
  await multiplexer.wait(5000)
  const accepted = listener.accept()
  console.log(accepted === null ? 'none' : 'accepted')
  process.exit()`

for (const error of [
  'ECONNABORTED',
  'EINTR',
  'EPROTO',
  'ENETDOWN',
  'ENOPROTOOPT',
  'EHOSTDOWN',
  'ENONET',
  'EHOSTUNREACH',
  'EOPNOTSUPP',
  'ENETUNREACH',
  'EPERM',
]) {
  testWith(['strace'], `truth 15: accept_skips_errors_of_single_connections (${error})`, async (t) => {
    const node = [process.execPath, ...sourceArguments(ACCEPT_ONE)]
    const inject = `inject=accept4:error=${error}:when=1..2`
    const { code, stdout, stderr } = await run(t, 'strace', ['-f', '-e', 'trace=accept4', '-e', inject, ...node], {
      cwd: ROOT,
    })
    t.is(code, 0, stderr)
    t.is(stdout, 'accepted\n')
    t.is(stderr.split('(INJECTED)').length - 1, 2, 'both errors were injected')
  })
}

/** Uses up all descriptors while connections wait, frees them after 500 ms, and accepts the connections. */
const EXHAUST = (wait: string) => `
  import { Listener, Multiplexer, Socket } from 'm-socket'
  import { closeSync, openSync } from 'node:fs'
  const listener = Listener.bind({ host: '127.0.0.1' })
  const multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r')
  const clients = Array.from({ length: 4 }, () => Socket.connect({ host: '127.0.0.1', port: listener.address.port }))
  const taken = []
  try { for (;;) taken.push(openSync('/dev/null')) } catch {}
  let errors = 0, accepted = 0, waits = 0
  const codes = new Set()
  const began = performance.now()
  const cpu = process.cpuUsage()
  while (accepted < clients.length && performance.now() - began < 20000) {
    if (performance.now() - began > 500) for (const fd of taken.splice(0)) closeSync(fd)
    waits++
    for (const { target } of ${wait}) {
      try { while (target.accept()) accepted++ } catch (error) { errors++; codes.add(error.code) }
    }
  }
  const { user, system } = process.cpuUsage(cpu)
  console.log(JSON.stringify({ accepted, errors, waits, codes: [...codes], cpu: (user + system) / 1000 }))
  process.exit()`

for (const [how, wait] of [
  ['wait', 'await multiplexer.wait()'],
  ['waitSync', 'multiplexer.waitSync()'],
] as const) {
  test(`truth 15: out_of_descriptors_a_listener_neither_spins_nor_stalls (${how})`, async (t) => {
    const { code, stdout, stderr } = await runWithDescriptors(t, 256, EXHAUST(wait))
    t.is(code, 0, stderr)
    const { accepted, errors, waits, codes } = JSON.parse(stdout) as {
      accepted: number
      errors: number
      waits: number
      codes: string[]
    }
    t.is(accepted, 4)
    t.deepEqual(codes, ['EMFILE'])
    t.true(errors >= 1 && errors < 100, `${errors} errors`)
    t.true(waits < 200, `${waits} waits`)
  })
}

for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
  testWith(['strace'], `truth 15: an_exhausted_listener_throws_and_backs_off (${error})`, async (t) => {
    const { code, stdout, stderr } = await runUnderStrace(
      t,
      `
      import { Listener, Multiplexer, Socket, SocketError } from 'm-socket'
      const listener = Listener.bind({ host: '127.0.0.1' })
      const client = Socket.connect({ port: listener.address.port })
      const multiplexer = new Multiplexer()
      multiplexer.add(listener, 'r')
      const results = []
      const acceptFrom = (events) => {
        for (const { target } of events) {
          try { results.push(target.accept() === null ? 'none' : 'accepted') }
          catch (error) { results.push(error instanceof SocketError && error.syscall + ' ' + error.code) }
        }
      }
      const first = await multiplexer.wait()
      const began = performance.now()
      acceptFrom(first)
      // The back-off lasts 100 ms. The connection still waits, but the kernel sends no new edge for it.
      const early = multiplexer.poll()
      results.push(early.length === 0 || performance.now() - began >= 100 ? 'backs off' : 'is reported too soon')
      acceptFrom(await multiplexer.wait())
      acceptFrom(multiplexer.waitSync())
      console.log(results.join(', '))
      process.exit()`,
      'accept4',
      `accept4:error=${error}:when=1..2`,
    )
    t.is(code, 0, stderr)
    t.is(stdout, `accept4 ${error}, backs off, accept4 ${error}, accepted\n`)
  })
}

test('truth 15: out_of_descriptors_an_iteration_neither_spins_nor_stalls', async (t) => {
  const source = `
    import { Listener, Socket } from 'm-socket'
    import { closeSync, openSync } from 'node:fs'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const clients = Array.from({ length: 4 }, () => Socket.connect({ host: '127.0.0.1', port: listener.address.port }))
    const taken = []
    let accepted = 0
    const done = (async () => {
      for await (const socket of listener) if (++accepted === clients.length) return
    })()
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    // A connection that was accepted before may still be on its way to the loop's body.
    await new Promise((resolve) => setImmediate(resolve))
    const early = accepted
    const cpu = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const { user, system } = process.cpuUsage(cpu)
    const during = accepted
    for (const fd of taken) closeSync(fd)
    await done
    console.log(JSON.stringify({ late: during - early, accepted, cpu: (user + system) / 1000 }))
    process.exit()`
  const { code, stdout, stderr } = await runWithDescriptors(t, 256, source)
  t.is(code, 0, stderr)
  const { late, accepted, cpu } = JSON.parse(stdout) as { late: number; accepted: number; cpu: number }
  t.is(late, 0, 'no connection can be accepted without a descriptor')
  t.is(accepted, 4)
  t.true(cpu < 1000, `${cpu} ms of CPU time in 2000 ms`)
})

testWith(['strace'], 'truth 15: rearming_a_oneshot_listener_does_not_end_its_back_off', async (t) => {
  const { code, stdout, stderr, calls } = await runUnderStrace(
    t,
    `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const client = Socket.connect({ port: listener.address.port })
    const multiplexer = new Multiplexer()
    multiplexer.add(listener, 'r', 'oneshot')
    let accepted = null
    while (!accepted) {
      await multiplexer.wait()
      try { accepted = listener.accept() } catch {}
      multiplexer.modify(listener, 'r', 'oneshot')
    }
    console.log('accepted')
    process.exit()`,
    'accept4',
    'accept4:error=EMFILE:when=1..3',
  )
  t.is(code, 0, stderr)
  t.is(stdout, 'accepted\n')
  t.is(calls.length, 4, calls.join('\n'))
})

test('truth 46: a_datagram_socket_finds_out_whether_a_socket_is_bound_to_a_path', (t) => {
  const path = freePath(t)
  const probe = (): number => native.probePath(path)
  t.is(probe(), -constants.errno.ENOENT)
  const handle = native.check(native.open(native.UNIX), 'socket')
  native.check(native.bindPath(handle, path), 'bind')
  t.is(probe(), -constants.errno.EPROTOTYPE)
  native.check(native.listen(handle, 5), 'listen')
  t.is(probe(), -constants.errno.EPROTOTYPE)
  t.is(native.accept(handle), -constants.errno.EAGAIN)
  native.close(handle)
  t.is(probe(), -constants.errno.ECONNREFUSED)
})
