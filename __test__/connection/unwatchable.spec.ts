// The kernel refuses to watch a socket, or to open what watches it: connect(), listen() and toDuplex() fail and leave
// nothing behind.

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, SocketClosedError, connect } from 'm-socket'

import { blackhole } from '../support/blackhole.js'
import { runWithDescriptors } from '../support/child.js'
import { openSockets } from '../support/descriptors.js'
import { inetAddressOf, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'
import { nextTurn } from '../support/timing.js'

/** What the programs below have in common. */
const PRELUDE = `
  import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
  import { Listener, Socket, SocketError, connect, listen, toDuplex } from 'm-socket'
  const isSocket = (fd) => { try { return readlinkSync('/proc/self/fd/' + fd).startsWith('socket') } catch { return false } }
  const sockets = () => readdirSync('/proc/self/fd').filter(isSocket).length
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address
  const warm = await connect({ host: '127.0.0.1', port })
  const codeOf = (error) => error instanceof SocketError ? error.code : String(error)
  const calls = []
  const handlers = {
    open: () => void calls.push('open'),
    connectError: (connection, error) => void calls.push('connectError ' + codeOf(error) + ' ' + connection.state + ' ' + connection.write('x')),
    error: (_, error) => void calls.push('error ' + codeOf(error)),
    close: (_, error) => void calls.push('close ' + (error ? codeOf(error) : '')),
  }
  const before = sockets()
  `

/**
 * Runs a program without a fault, and then once for each addition that it makes to a multiplexer after its last call of
 * `begins`, with this addition refused.
 */
async function refuseEach(
  t: ExecutionContext,
  program: string,
  begins: string,
  verify: (printed: unknown, nth: number) => void,
): Promise<void> {
  const source = PRELUDE + program
  const calm = await runUnderStrace(t, source, `epoll_ctl,${begins}`)
  t.is(calm.code, 0, calm.stderr)
  const start = calm.calls.findLastIndex((call) => call.startsWith(`${begins}(`))
  const controls = calm.calls.flatMap((call, index) => (call.startsWith('epoll_ctl') ? [{ call, index }] : []))
  const adds = controls.flatMap(({ call, index }, nth) =>
    index > start && /_ADD, .*EPOLLET.* = 0$/.test(call) ? [nth + 1] : [],
  )
  t.true(adds.length > 0)
  for (const [at, nth] of adds.entries()) {
    const faulty = await runUnderStrace(t, source, 'epoll_ctl', `epoll_ctl:error=ENOSPC:when=${nth}`)
    t.is(faulty.code, 0, faulty.stderr)
    t.regex(faulty.calls.join('\n'), /INJECTED/)
    verify(JSON.parse(faulty.stdout), at)
  }
}

testWith(['strace'], 'connect_rejects_and_closes_its_socket_when_it_cannot_be_watched', async (t) => {
  const program = `
    const outcome = await connect({ host: '127.0.0.1', port, socket: handlers }).then(() => 'connected', codeOf)
    await pause(20)
    console.log(JSON.stringify([outcome, calls, sockets() - before, warm.state]))
    process.exit()`
  const printed: unknown[] = []
  await refuseEach(t, program, 'connect', (it) => printed.push(it))
  const refused = ['ENOSPC', ['connectError ENOSPC closed -1'], 0, 'open']
  // It is added once: while it connects, and it stays for the connection.
  t.deepEqual(printed, [refused])
})

testWith(['strace'], 'an_attempt_that_cannot_be_watched_is_followed_by_the_next_one', async (t) => {
  const program = `
    Listener.bind({ host: '127.0.0.1', port: 0 }).close()
    const outcome = await connect({ host: 'localhost', port, socket: handlers }).then(() => 'connected', codeOf)
    await pause(20)
    console.log(JSON.stringify([outcome, calls, sockets() - before]))
    process.exit()`
  const printed: unknown[] = []
  await refuseEach(t, program, 'listen', (it) => printed.push(it))
  // ::1 first, where nothing listens.
  t.deepEqual(printed[0], ['connected', ['open'], 1])
})

testWith(['strace'], 'listen_closes_its_listener_when_it_cannot_be_watched', async (t) => {
  const program = `
    let code
    try { listen({ host: '127.0.0.1', socket: handlers }) } catch (error) { code = codeOf(error) }
    console.log(JSON.stringify([code, sockets() - before]))
    process.exit()`
  await refuseEach(t, program, 'listen', (it) => t.deepEqual(it, ['ENOSPC', 0]))
})

testWith(['strace'], 'toDuplex_of_a_socket_that_cannot_be_watched_leaves_it_with_its_queue', async (t) => {
  const program = `
    const socket = Socket.connect({ host: '127.0.0.1', port, sendBufferSize: 4096 })
    while (socket.state !== 'open') await pause(5)
    listener.accept()?.close()
    const peer = listener.accept()
    socket.send(Buffer.alloc(4_000_000))
    let code
    Listener.bind({ host: '127.0.0.1', port: 0 }).close()
    try { toDuplex(socket).destroy() } catch (error) { code = codeOf(error) }
    let got = 0
    const into = Buffer.alloc(65536)
    while (code && got < 4_000_000) {
      got += peer.receive(into) ?? 0
      await pause(0)
    }
    console.log(JSON.stringify([code, got, socket.state]))
    process.exit()`
  const printed: unknown[] = []
  await refuseEach(t, program, 'listen', (it) => printed.push(it))
  t.deepEqual(printed, [['ENOSPC', 4_000_000, 'open']])
})

testWith(['strace'], 'toDuplex_of_a_connection_that_cannot_be_watched_closes_it', async (t) => {
  const program = `
    const connection = await connect({ host: '127.0.0.1', port, socket: handlers })
    let code
    Listener.bind({ host: '127.0.0.1', port: 0 }).close()
    try { toDuplex(connection).destroy() } catch (error) { code = codeOf(error) }
    await pause(20)
    console.log(JSON.stringify([code, calls, connection.state, sockets() - before]))
    process.exit()`
  const printed: unknown[] = []
  await refuseEach(t, program, 'listen', (it) => printed.push(it))
  t.deepEqual(printed, [['ENOSPC', ['open', 'close ENOSPC'], 'closed', 0]])
})

test('out_of_descriptors_connect_rejects_and_calls_connectError', async (t) => {
  const source = `
    import { closeSync, openSync } from 'node:fs'
    import { Listener, connect } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
    const { port } = listener.address
    const calls = []
    const socket = { connectError: (connection, { code }) => void calls.push(code + ' ' + connection.state + ' ' + connection.write('x')) }
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    const first = await connect({ host: '127.0.0.1', port, socket }).then(() => 'connected', ({ code, syscall }) => code + ' ' + syscall)
    for (const fd of taken) closeSync(fd)
    const second = await connect({ host: '127.0.0.1', port, socket }).then(() => 'connected', ({ code }) => code)
    console.log(JSON.stringify([first, calls, second]))
    process.exit()`
  const { code, stdout, stderr } = await runWithDescriptors(t, 80, source)
  t.is(code, 0, stderr)
  t.is(stdout, '["EMFILE epoll_create1",["EMFILE closed -1"],"connected"]\n')
})

test.serial('a_connect_into_a_multiplexer_that_is_closed_meanwhile_rejects_at_once', async (t) => {
  const hole = await blackhole(t, '127.0.0.1')
  const before = openSockets().length
  const multiplexer = new Multiplexer()
  const failed: Error[] = []
  const socket = { connectError: (_: unknown, error: Error) => void failed.push(error) }
  const connecting = connect({ ...inetAddressOf(hole), multiplexer, socket, connectTimeout: 60_000 })
  await nextTurn()
  multiplexer.close()
  const error = await t.throwsAsync(connecting, { instanceOf: SocketClosedError, message: /Multiplexer was closed/ })
  t.deepEqual(failed, [error])
  t.is(openSockets().length, before)
})

test.serial('a_connect_whose_multiplexer_is_closed_when_it_has_won_rejects', async (t) => {
  const listener = testListener(t)
  const before = openSockets().length
  const multiplexer = new Multiplexer()
  const controller = new AbortController()
  const { signal } = controller
  const connecting = connect({ ...inetAddressOf(listener), multiplexer, signal })
  // Runs between the end of the race and the code behind it: the race removes its listener when it ends.
  const removeEventListener = signal.removeEventListener.bind(signal)
  signal.removeEventListener = (...args: Parameters<AbortSignal['removeEventListener']>) => {
    queueMicrotask(() => {
      multiplexer.close()
      controller.abort()
    })
    removeEventListener(...args)
  }
  await t.throwsAsync(connecting, { instanceOf: SocketClosedError })
  t.is(openSockets().length, before)
})
