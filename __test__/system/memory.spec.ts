// What there is no memory for is ENOMEM, and never the end of the process.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

import type { ExecutionContext } from 'ava'

import { outcomeOf, startModule } from '../support/child.js'
import { testWith } from '../support/programs.js'

/** A connected pair, and `limit(bytes)`: from then on the process gets so much memory more, or again as much as it likes. */
const PRELUDE = `
  import { readSync } from 'node:fs'
  import { Listener, Multiplexer, Socket, connect, listen, toDuplex } from 'm-socket'
  const limit = (bytes) => {
    console.log('limit ' + bytes)
    readSync(0, Buffer.alloc(1))
  }
  const place = { path: '\\0m-socket-memory-' + process.pid }
  const listener = Listener.bind(place)
  // Sockets that nothing refers to are closed when they are collected.
  const kept = (globalThis.kept = [])
  const pair = () => {
    const both = [Socket.connect(place), listener.accept()]
    kept.push(...both)
    return both
  }
  const codeOf = (act) => { try { return act() } catch ({ code }) { return code } }
`

/** Runs a module whose memory can be limited, prlimit(1); returns the other lines that it prints. */
async function run(t: ExecutionContext, source: string): Promise<string[]> {
  // malloc(3) of glibc reserves an arena of 64 MiB when another has no memory: mallopt(3).
  const env = { ...process.env, MALLOC_ARENA_MAX: '1' }
  const child = startModule(t, PRELUDE + source, { stdio: ['pipe', 'pipe', 'pipe'], env })
  const lines: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const [, bytes] = /^limit (\S+)$/.exec(line) ?? []
    if (bytes === undefined) return lines.push(line)
    const size = Number(/VmSize:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1024
    const soft = bytes === 'Infinity' ? 'unlimited' : size + Number(bytes)
    spawnSync('prlimit', ['--pid', String(child.pid), `--as=${soft}:unlimited`])
    return child.stdin!.write('x')
  })
  const { code, signal, stderr } = await outcomeOf(child)
  t.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
  return lines
}

/** Bytes of pages of zeros, of which a copy is too much for `SMALL` more bytes of memory. */
const LARGE = 2 ** 28
const SMALL = 2 ** 26

testWith(['prlimit'], 'a_send_without_memory_is_ENOMEM_with_nothing_taken', async (t) => {
  const lines = await run(
    t,
    `
    const [socket, peer] = pair()
    const [full] = pair()
    full.send(Buffer.alloc(400_000))
    const queued = full.queued
    full.sendQueueLimit = ${2 * LARGE}
    const data = new Uint8Array(${LARGE})
    const piece = data.subarray(0, ${LARGE / 4})
    limit(${SMALL})
    console.log(codeOf(() => socket.send(data)), socket.bytesSent, socket.queued, socket.state)
    console.log(codeOf(() => socket.send([piece, piece, piece, piece])), socket.bytesSent, socket.queued, socket.state)
    // Where something is queued already, all would be queued.
    console.log(codeOf(() => full.send(data)), full.queued === queued, full.state)
    console.log(codeOf(() => socket.send('small')), peer.receive(Buffer.alloc(64)))
    process.exit()`,
  )
  t.deepEqual(lines, ['ENOMEM 0 0 open', 'ENOMEM 0 0 open', 'ENOMEM true open', 'sent 5'])
})

testWith(['prlimit'], 'a_socket_is_writable_when_a_send_without_memory_may_be_tried_again', async (t) => {
  const lines = await run(
    t,
    `
    const [socket, peer] = pair()
    const data = new Uint8Array(${LARGE})
    const multiplexer = new Multiplexer(socket)
    await multiplexer.wait()
    limit(${SMALL})
    console.log(codeOf(() => socket.send(data)))
    limit(Infinity)
    const [{ writable }] = await multiplexer.wait()
    console.log(writable, socket.send(data), peer.state)
    process.exit()`,
  )
  t.deepEqual(lines, ['ENOMEM', 'true partially-sent open'])
})

testWith(['prlimit'], 'what_the_kernel_took_a_part_of_and_there_is_no_memory_for_ends_the_connection', async (t) => {
  const lines = await run(
    t,
    `
    const queue = Listener.bind({ host: '127.0.0.1' })
    const socket = Socket.connect({ port: queue.address.port, sendBufferSize: 4096 })
    const peer = queue.accept()
    while (socket.state !== 'open') await new Promise((resolve) => setTimeout(resolve, 2))
    const data = new Uint8Array(${2 ** 20 - 1})
    // V8 ends the process that gets no page of 256 KiB for what survives a collection.
    limit(${2 ** 19})
    const code = codeOf(() => socket.send(data))
    limit(Infinity)
    const multiplexer = new Multiplexer(peer)
    let got = 0, end = null
    const into = new Uint8Array(65536)
    for (; end === null; await multiplexer.wait(10)) {
      end = codeOf(() => { for (let count; (count = peer.receive(into)) !== null; got += count) if (count === 0) return 0; return null })
    }
    console.log(code, socket.state, socket.send('more'), got < data.length, end)
    process.exit()`,
  )
  t.deepEqual(lines, ['ENOMEM closed closed true ECONNRESET'])
})

testWith(['prlimit'], 'more_pieces_than_there_is_memory_for_are_ENOMEM', async (t) => {
  const lines = await run(
    t,
    `
    const [socket] = pair()
    console.log(socket.state)
    const pieces = new Array(${2 ** 22}).fill(new Uint8Array(1))
    limit(${96 * 2 ** 20})
    console.log(codeOf(() => socket.send(pieces)), socket.bytesSent, socket.queued, socket.state)
    process.exit()`,
  )
  t.deepEqual(lines, ['connecting', 'ENOMEM 0 0 open'])
})

testWith(['prlimit'], 'the_end_of_a_connection_without_memory_is_an_error', async (t) => {
  const lines = await run(
    t,
    `
    listener.close()
    const server = listen({ ...place, socket: {
      data() {},
      error: (connection, { code }) => console.log('server', code),
    } })
    const data = new Uint8Array(${LARGE})
    await connect({ ...place, socket: {
      open(connection) {
        limit(${SMALL})
        console.log(connection.end(data), connection.write('more'), connection.state)
        limit(Infinity)
      },
      error: (connection, { code, syscall }) => console.log('error', syscall, code),
      close(connection, error) {
        console.log('close', error?.code)
        setTimeout(() => server.stop(true), 50)
      },
    } })`,
  )
  t.deepEqual(lines.slice(0, 3), ['error write ENOMEM', '-1 -1 closed', 'close ENOMEM'])
})

testWith(['prlimit'], 'a_write_without_memory_takes_less_and_drain_follows', async (t) => {
  const lines = await run(
    t,
    `
    listener.close()
    const server = listen({ ...place, socket: { data() {} } })
    const data = new Uint8Array(${LARGE})
    await connect({ ...place, sendQueueLimit: ${2 * LARGE}, socket: {
      open(connection) {
        limit(${SMALL})
        const taken = connection.write(data)
        console.log(taken >= 0 && taken < data.length, connection.state)
        limit(Infinity)
      },
      drain(connection) {
        console.log('drain')
        connection.terminate()
      },
      error: (connection, { code }) => console.log(code),
      close: () => server.stop(true),
    } })`,
  )
  t.deepEqual(lines, ['true open', 'drain'])
})

testWith(['prlimit'], 'a_stream_waits_for_memory', async (t) => {
  const lines = await run(
    t,
    `
    const [socket, peer] = pair()
    const duplex = toDuplex(socket)
    const data = new Uint8Array(${LARGE})
    duplex.on('error', ({ code }) => console.log(code))
    limit(${SMALL})
    duplex.write(data)
    console.log(duplex.destroyed, socket.queued)
    limit(Infinity)
    while (socket.queued === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    console.log('sent')
    process.exit()`,
  )
  t.deepEqual(lines, ['false 0', 'sent'])
})
