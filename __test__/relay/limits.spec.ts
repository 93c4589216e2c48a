// Where descriptors or watches have run out, and where a call of the kernel is refused.

import test from 'ava'

import { runUnderStrace } from '../support/strace.js'

const SIDES = `
  import net from 'node:net'
  import { once } from 'node:events'
  import { Listener, Socket, relay } from 'm-socket'

  const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
  async function side() {
    const peer = net.connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true })
    await once(peer, 'connect')
    let relayed
    while (!(relayed = listener.accept())) await new Promise((resolve) => setImmediate(resolve))
    return { peer, relayed }
  }
  const [a, b] = [await side(), await side()]
  const bytes = Buffer.alloc(8_000_000, 'some bytes')
  async function exchange() {
    const relayed = relay(a.relayed, b.relayed)
    a.peer.end(bytes)
    b.peer.end()
    const chunks = []
    for await (const chunk of b.peer) chunks.push(chunk)
    a.peer.resume()
    return Buffer.concat(chunks).equals(bytes) && (await relayed).aToB === bytes.length
  }
`

const EXCHANGE = `${SIDES}\nconsole.log(await exchange())\nprocess.exit()`

for (const injection of ['pipe2:error=EMFILE:when=#+', 'pipe2:error=ENFILE:when=#', 'pipe2:error=EPERM:when=#+']) {
  test(`bytes_come_as_they_were_with_${injection}`, async (t) => {
    // Which of the process is the first one of a relay.
    const { calls: all } = await runUnderStrace(t, EXCHANGE, 'pipe2,splice')
    const first = all.findIndex((call) => call.startsWith('splice'))
    const { stdout, stderr, calls } = await runUnderStrace(t, EXCHANGE, 'pipe2', injection.replace('#', String(first)))
    t.is(stderr, '')
    t.is(stdout, 'true\n')
    t.true(calls.some((call) => call.includes('INJECTED')))
  })
}

for (const injection of [
  'splice:error=ENOSYS:when=1',
  'splice:error=EINVAL:when=1',
  'splice:error=ENOMEM:when=1',
  'splice:retval=0:when=1',
  'splice:error=EINTR:when=1',
]) {
  test(`bytes_come_as_they_were_with_${injection}`, async (t) => {
    const { stdout, stderr, calls } = await runUnderStrace(t, EXCHANGE, 'splice', injection)
    t.is(stderr, '')
    t.is(stdout, 'true\n')
    t.true(calls.some((call) => call.includes('INJECTED')))
  })
}
