// The kernel refuses to send for want of memory while its buffer has room: no edge comes, and so the library tries
// again by itself, 100 ms later.

import type { ExecutionContext } from 'ava'

import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

const SIZE = 600_000

/** A connected pair of Unix sockets; `drain` receives all that came, and notes the end. */
const PAIR = `
  import { setTimeout as sleep } from 'node:timers/promises'
  import { Listener, Multiplexer, Socket, connect, listen, toDuplex } from 'm-socket'
  const place = { path: '\\0m-socket-back-off-' + process.pid }
  const listener = Listener.bind(place)
  const client = Socket.connect(place)
  const peer = listener.accept()
  listener.close()
  const into = Buffer.alloc(65536)
  let got = 0, ended = false
  const drain = () => {
    for (let count; !ended && (count = peer.receive(into)) !== null; ) {
      got += count
      ended = count === 0
    }
  }
  const data = Buffer.alloc(${SIZE})
`

/** Runs a module whose n-th calls of send(2), by strace's expression, fail; returns what it prints. */
async function printed(t: ExecutionContext, source: string, call: string, error: string, nth: string): Promise<string> {
  const inject = `${call}:error=${error}:when=${nth}`
  const { code, stdout, stderr, calls } = await runUnderStrace(t, source, 'sendto,sendmsg', inject)
  t.is(code, 0, stderr)
  t.true(
    calls.some((line) => line.includes('INJECTED')),
    'the call that fails was made',
  )
  return stdout.trimEnd()
}

/** Ways to have a queue of ${SIZE} bytes sent. Its first part is sent at once; the process has to end by itself. */
const QUEUES: Record<string, string> = {
  'while a wait is pending': `
    const multiplexer = new Multiplexer(client)
    client.send(data)
    for (; got < ${SIZE}; drain()) await multiplexer.wait(10)
    multiplexer.close()
    client.close()`,
  'while the thread sleeps': `
    const multiplexer = new Multiplexer(client)
    client.send(data)
    for (; got < ${SIZE}; drain()) multiplexer.waitSync(10)
    multiplexer.close()
    client.close()`,
  'between the waits of its multiplexer': `
    const multiplexer = new Multiplexer(client)
    client.send(data)
    for (; got < ${SIZE}; drain()) await sleep(2)
    multiplexer.close()
    client.close()`,
  'of a socket that is in no multiplexer': `
    client.send(data)
    for (; got < ${SIZE}; drain()) await sleep(2)
    client.close()`,
  'of a socket that moves to another multiplexer': `
    const first = new Multiplexer(client)
    client.send(data)
    drain()
    await sleep(20)
    first.remove(client)
    await sleep(20)
    const second = new Multiplexer(client)
    for (; got < ${SIZE}; drain()) await sleep(2)
    first.close()
    second.close()
    client.close()`,
  'behind shutdown()': `
    client.send(data)
    client.shutdown('write')
    for (; !ended; drain()) await sleep(2)
    client.close()`,
  'behind close()': `
    client.send(data)
    client.close()
    for (; !ended; drain()) await sleep(2)`,
}

for (const error of ['ENOBUFS', 'ENOMEM']) {
  for (const [which, source] of Object.entries(QUEUES)) {
    testWith(['strace'], `a_queue_is_sent_after_${error} (${which})`, async (t) => {
      const module = `${PAIR}${source}
        drain()
        console.log(got)
        peer.close()`
      t.is(await printed(t, module, 'sendto', error, '2..3'), String(SIZE))
    })
  }
}

testWith(['strace'], 'corked_writes_are_sent_after_ENOBUFS', async (t) => {
  const source = `
    import { connect, listen } from 'm-socket'
    const server = listen({ port: 0, host: '127.0.0.1', socket: {
      data(connection, chunk) {
        connection.write('one ')
        connection.write('two')
      },
    } })
    let text = ''
    await connect({ host: '127.0.0.1', port: server.port, socket: {
      open: (connection) => void connection.write('x'),
      data(connection, chunk) {
        text += chunk
        if (text.length < 7) return
        console.log(text)
        connection.end()
        server.close()
      },
    } })`
  t.is(await printed(t, source, 'sendto', 'ENOBUFS', '2..3'), 'one two')
})

testWith(['strace'], 'drain_follows_a_write_that_was_not_taken_for_ENOBUFS', async (t) => {
  const source = `${PAIR}
    client.close()
    const server = listen({ ...place, socket: { data() {} } })
    const taken = []
    const write = (connection) => {
      taken.push(connection.write('data'))
      if (taken.at(-1) === 4) connection.terminate()
    }
    const socket = { open: write, drain: write, close: () => server.stop(true) }
    await connect({ ...place, sendQueueLimit: 0, socket })
    console.log(taken.join())
    peer.close()
    process.on('exit', () => console.log(taken.join()))`
  t.is(await printed(t, source, 'sendto', 'ENOBUFS', '1..2'), '0\n0,0,4')
})

testWith(['strace'], 'a_stream_writes_again_after_ENOBUFS', async (t) => {
  const source = `${PAIR}
      const duplex = toDuplex(client)
      duplex.on('error', (error) => console.log(error.code))
      duplex.write('one ', () => {
        duplex.cork()
        duplex.write('two ')
        duplex.write(Buffer.alloc(5, 'three'))
        duplex.write(Buffer.alloc(2000))
        duplex.uncork()
        duplex.end()
      })
      for (; !ended; drain()) await sleep(2)
      console.log(got)
      peer.close()
      duplex.destroy()`
  t.is(await printed(t, source, 'sendto', 'ENOBUFS', '1..2'), '2013', 'send(2)')
  t.is(await printed(t, source, 'sendmsg', 'ENOMEM', '1..2'), '2013', 'sendmsg(2)')
})

for (const mode of ['edge', 'level', 'oneshot'] as const) {
  testWith(['strace'], `a_socket_is_writable_again_after_ENOBUFS_was_thrown (${mode})`, async (t) => {
    const source = `${PAIR}
      const multiplexer = new Multiplexer()
      multiplexer.add(client, 'w', '${mode}')
      const results = []
      for (;;) {
        const [{ target, writable }] = await multiplexer.wait()
        try { results.push(target.send('data')) } catch (error) { results.push(error.code) }
        if (results.at(-1) === 'sent') break
        if ('${mode}' === 'oneshot') multiplexer.modify(client, 'w', 'oneshot')
      }
      console.log(results.join(), client.bytesSent, client.queued)
      process.exit()`
    t.is(await printed(t, source, 'sendto', 'ENOBUFS', '1..3'), 'ENOBUFS,ENOBUFS,ENOBUFS,sent 4 0')
  })
}

testWith(['strace'], 'a_blocking_send_goes_on_after_ENOBUFS', async (t) => {
  const source = `${PAIR}
    import { Worker } from 'node:worker_threads'
    peer.close()
    const source = Listener.bind({ host: '127.0.0.1', sendBufferSize: 4096 })
    const reader = \`
      import net from 'node:net'
      import { parentPort } from 'node:worker_threads'
      let got = 0
      const socket = net.connect(\${source.address.port}, '127.0.0.1')
      socket.on('data', (chunk) => (got += chunk.length)).on('close', () => parentPort.postMessage(got))\`
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(reader)))
    const multiplexer = new Multiplexer(source)
    await multiplexer.wait()
    const socket = source.accept()
    multiplexer.close()
    socket.blocking = true
    socket.send(data)
    socket.close()
    source.close()
    worker.once('message', (count) => console.log(count))`
  t.is(await printed(t, source, 'sendto', 'ENOBUFS', '2..3'), String(SIZE))
})

testWith(['strace'], 'a_blocking_receive_sleeps_while_there_is_no_memory_for_input', async (t) => {
  const source = `${PAIR}
    peer.send('data')
    client.blocking = true
    console.log(client.receive(into))
    process.exit()`
  const inject = 'recvfrom:error=ENOMEM:when=1..3'
  const { code, stdout, stderr, calls } = await runUnderStrace(t, source, 'recvfrom,poll,ppoll', inject)
  t.deepEqual([code, stdout], [0, '4\n'], stderr)
  // poll(2) for IN would return at once: the bytes are there.
  const sleeps = calls.filter((call) => /^p?poll\(\[\{fd=\d+, events=0\}\], 1, /.test(call))
  t.is(sleeps.length, 3, calls.join('\n'))
})

/** Ways to send while the kernel has no memory for longer than the process lives. */
const LASTING: Record<string, string> = {
  'a queue': 'globalThis.kept = new Multiplexer(client)',
  'a queue of the shared poller': '',
  drain: `
    client.close()
    const server = listen({ ...place, socket: { data() {} } })
    const write = (connection) => void connection.write('data')
    await connect({ ...place, sendQueueLimit: 0, socket: { open: write, drain: write } })`,
  'a stream': `toDuplex(client).write('data')`,
  'a level-triggered multiplexer': `
    const multiplexer = new Multiplexer()
    multiplexer.add(client, 'w', 'level')
    void (async () => {
      for await (const [{ target }] of multiplexer) try { target.send('data') } catch {}
    })()`,
}

for (const [which, source] of Object.entries(LASTING)) {
  const sends = which.startsWith('a queue') ? `client.send(data); drain()` : ''
  testWith(['strace'], `a_kernel_without_memory_is_asked_a_few_times_per_second (${which})`, async (t) => {
    const nth = sends ? '2+' : '1+'
    const module = `${PAIR}${source}
      ${sends}
      setTimeout(() => process.exit(), 1000)`
    const { code, stderr, calls } = await runUnderStrace(t, module, 'sendto', `sendto:error=ENOBUFS:when=${nth}`)
    t.is(code, 0, stderr)
    t.true(calls.length >= 2 && calls.length < 50, `${calls.length} calls`)
  })
}

/** Ways to receive 'data', after which `done` is called. */
const READERS: Record<string, string> = {
  'a stream': `toDuplex(client).on('data', done)`,
  'a multiplexer': `
    void (async () => {
      for await (const _ of new Multiplexer(client)) if (client.receive(into) === 4) done()
    })()`,
  'a connection': `
    client.close()
    const server = listen({ ...place, socket: { open: (connection) => void connection.write('data') } })
    await connect({ ...place, socket: { data: done } })`,
  'a read': `
    client.close()
    const server = listen({ ...place, socket: { open: (connection) => void connection.write('data') } })
    const connection = await connect(place)
    await connection.read(into)
    done()`,
}

for (const [which, source] of Object.entries(READERS)) {
  const module = `${PAIR}
    const done = () => { console.log('received'); process.exit() }
    peer.send('data')
    setTimeout(() => process.exit(), 1000)
    ${source}`

  testWith(['strace'], `input_that_there_was_no_memory_for_is_received_later (${which})`, async (t) => {
    const { code, stdout, stderr } = await runUnderStrace(t, module, 'recvfrom', 'recvfrom:error=ENOMEM:when=1..3')
    t.deepEqual([code, stdout.trim()], [0, 'received'], stderr)
  })

  testWith(['strace'], `a_kernel_without_memory_for_input_is_asked_a_few_times_per_second (${which})`, async (t) => {
    const { code, stderr, calls } = await runUnderStrace(t, module, 'recvfrom', 'recvfrom:error=ENOMEM:when=1+')
    t.is(code, 0, stderr)
    t.true(calls.length >= 2 && calls.length < 50, `${calls.length} calls`)
  })
}
