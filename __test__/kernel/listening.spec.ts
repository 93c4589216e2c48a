import test from 'ava'
import { Multiplexer, Socket } from 'm-socket'

import { run } from '../support/fixture.js'
import { listening, reach, resetting } from '../support/pair.js'
import { testWith } from '../support/peers.js'

const ROOT = new URL('../..', import.meta.url)

test('truth 14: a_listener_is_reported_until_nobody_waits', async (t) => {
  const listener = listening(t)
  using multiplexer = new Multiplexer()
  multiplexer.add(listener, 'r', 'edge')
  for (let index = 0; index < 3; index++) resetting(t, Socket.connect(reach(listener)))
  for (let index = 0; index < 3; index++) {
    t.is((await multiplexer.wait(5000)).length, 1)
    const accepted = listener.accept()
    t.truthy(accepted)
    resetting(t, accepted!)
  }
  t.deepEqual(multiplexer.poll(), [])
  t.is(listener.accept(), null)
})

const ACCEPTING = `
  import { Listener, Multiplexer, Socket } from 'm-socket'
  const listener = Listener.bind({ host: '127.0.0.1' })
  const client = Socket.connect({ host: '127.0.0.1', port: listener.address.port })
  const multiplexer = new Multiplexer(listener)
  await multiplexer.wait(5000)
  const accepted = listener.accept()
  console.log(accepted === null ? 'nobody' : 'accepted')
  process.exit()`

for (const error of [
  'ECONNABORTED', 'EINTR', 'EPROTO', 'ENETDOWN', 'ENOPROTOOPT', 'EHOSTDOWN', 'ENONET', 'EHOSTUNREACH', 'EOPNOTSUPP', 'ENETUNREACH', 'EPERM',
]) {
  testWith(['strace'], `truth 15: an_error_of_one_connection_is_skipped (${error})`, async (t) => {
    const node = [process.execPath, '--input-type=module', '--eval', ACCEPTING]
    const inject = `inject=accept4:error=${error}:when=1..2`
    const { code, stdout, stderr } = await run(t, 'strace', ['-f', '-e', 'trace=accept4', '-e', inject, ...node], { cwd: ROOT })
    t.is(code, 0, stderr)
    t.is(stdout, 'accepted\n')
    t.is(stderr.split('(INJECTED)').length - 1, 2, 'both errors were met')
  })
}

/** Runs out of descriptors while connections wait; gives them back after a while, and accepts the rest. */
const EXHAUSTED = (wait: string) => `
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

for (const [how, wait] of [['wait', 'await multiplexer.wait()'], ['waitSync', 'multiplexer.waitSync()']] as const) {
  test(`truth 15: out_of_descriptors_a_listener_neither_spins_nor_stalls (${how})`, async (t) => {
    const command = `ulimit -n 64; exec "$0" --input-type=module --eval "$1"`
    const { code, stdout, stderr } = await run(t, 'sh', ['-c', command, process.execPath, EXHAUSTED(wait)], { cwd: ROOT })
    t.is(code, 0, stderr)
    const { accepted, errors, waits, codes } = JSON.parse(stdout) as { accepted: number; errors: number; waits: number; codes: string[] }
    t.is(accepted, 4)
    t.deepEqual(codes, ['EMFILE'])
    t.true(errors >= 1 && errors < 100, `${errors} errors`)
    t.true(waits < 200, `${waits} waits`)
  })
}

