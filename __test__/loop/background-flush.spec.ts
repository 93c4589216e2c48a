// Queues of sockets that are in no multiplexer, where the kernel refuses what is needed to send them.

import test, { type ExecutionContext } from 'ava'

import { runWithDescriptors } from '../support/child.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

/** A client with a full queue, and its peer; what the peer gets in the end is printed with how it ended. */
const FULL_QUEUE = `
  import { closeSync, openSync } from 'node:fs'
  import { Listener, Multiplexer, Socket, SocketError } from 'm-socket'
  const SIZE = 500_000
  const path = '\\0m-socket-test-' + process.pid
  const listener = Listener.bind({ path })
  const multiplexer = new Multiplexer()
  const client = Socket.connect({ path })
  multiplexer.add(client)
  const peer = listener.accept()
  while (client.state !== 'open') multiplexer.waitSync(5)
  client.send(Buffer.alloc(SIZE))
  const taken = []
  const takeAll = () => { try { for (;;) taken.push(openSync('/dev/null')) } catch {} }
  const giveBack = () => { for (const fd of taken.splice(0)) closeSync(fd) }
  const into = Buffer.alloc(65536)
  async function receive() {
    let got = 0
    for (;;) {
      const count = peer.receive(into)
      if (count === 0) return got
      got += count ?? 0
      if (got >= SIZE && client.fd >= 0) return got
      if (count === null) await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))`

/** Runs a program with few descriptors; returns what it printed. */
async function withFewDescriptors(t: ExecutionContext, source: string): Promise<string> {
  const { code, stdout, stderr } = await runWithDescriptors(t, 80, FULL_QUEUE + source)
  t.is(code, 0, stderr)
  return stdout
}

test('out_of_descriptors_a_closed_socket_still_sends_its_queue', async (t) => {
  const stdout = await withFewDescriptors(
    t,
    `
    takeAll()
    multiplexer.remove(client)
    client.close()
    client.close()
    const early = [client.state, client.queued > 0]
    await pause(250)
    giveBack()
    console.log(JSON.stringify([early, await receive(), client.state, client.queued]))
    process.exit()`,
  )
  t.is(stdout, '[["closing",true],500000,"closed",0]\n')
})

test('out_of_descriptors_a_multiplexer_closes_completely', async (t) => {
  const stdout = await withFewDescriptors(
    t,
    `
    const waiting = multiplexer.wait()
    takeAll()
    multiplexer.close()
    const events = await waiting
    giveBack()
    const got = await receive()
    while (client.queued > 0) await pause(5)
    const next = new Multiplexer(client)
    console.log(JSON.stringify([events, got, client.state, client.send('more')]))
    process.exit()`,
  )
  t.is(stdout, '[[],500000,"open","sent"]\n')
})

test('out_of_descriptors_a_removed_socket_sends_its_queue_and_stays_of_use', async (t) => {
  const stdout = await withFewDescriptors(
    t,
    `
    takeAll()
    multiplexer.remove(client)
    client.shutdown()
    giveBack()
    console.log(JSON.stringify([await receive(), client.state, client.send('more')]))
    process.exit()`,
  )
  t.is(stdout, '[500000,"open","closed"]\n')
})

test('a_queue_that_waits_for_descriptors_keeps_the_process_alive', async (t) => {
  const stdout = await withFewDescriptors(
    t,
    `
    takeAll()
    multiplexer.remove(client)
    giveBack()
    multiplexer.close()
    client.close()
    setTimeout(async () => console.log(await receive()), 50).unref()`,
  )
  t.is(stdout, '500000\n')
})

test('a_socket_that_waits_for_descriptors_can_be_reset_or_added', async (t) => {
  const stdout = await withFewDescriptors(
    t,
    `
    const added = new Multiplexer()
    takeAll()
    multiplexer.remove(client)
    added.add(client)
    giveBack()
    await pause(150)
    const inAdded = [client.queued > 0, (() => { try { multiplexer.add(client) } catch ({ code }) { return code } })()]
    takeAll()
    added.remove(client)
    client.close()
    client.reset()
    giveBack()
    const got = await receive()
    await pause(150)
    console.log(JSON.stringify([inAdded, client.state, client.queued, got < SIZE]))
    process.exit()`,
  )
  t.is(stdout, '[[true,"EEXIST"],"closed",0,true]\n')
})

for (const error of ['ENOSPC', 'ENOMEM']) {
  testWith(['strace'], `a_queue_whose_registration_is_refused_is_sent_later: ${error}`, async (t) => {
    const source = `${FULL_QUEUE}
      const warm = Socket.connect({ path })
      warm.send(Buffer.alloc(SIZE))
      warm.reset()
      multiplexer.remove(client)
      client.close()
      console.log(JSON.stringify([client.state, await receive(), client.state]))
      process.exit()`
    const calm = await runUnderStrace(t, source, 'epoll_ctl')
    t.is(calm.stdout, '["closing",500000,"closed"]\n', calm.stderr)
    // Before the last removal of a registration of the client's, which sends the queue, comes its addition.
    const adds = calm.calls.flatMap((call, nth) => (/EPOLLET/.test(call) && /_ADD, .*= 0$/.test(call) ? [nth + 1] : []))
    const nth = adds.at(-1)!
    const { code, stdout, stderr, calls } = await runUnderStrace(
      t,
      source,
      'epoll_ctl',
      `epoll_ctl:error=${error}:when=${nth}`,
    )
    t.is(code, 0, stderr)
    t.regex(calls.join('\n'), /EPOLL_CTL_ADD.*EPOLLET.*INJECTED/)
    t.is(stdout, '["closing",500000,"closed"]\n')
  })
}
