// Calls of the kernel that fail when no call of the program is there to throw: after a close, and in a wait.

import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

testWith(['strace'], 'a_queue_that_is_lost_after_both_halves_have_ended_calls_error_and_close', async (t) => {
  const source = `
    import { Socket, listen } from 'm-socket'
    const server = listen({ host: '127.0.0.1', sendBufferSize: 4096, socket: {
      open(connection) {
        connection.end(Buffer.alloc(1_000_000))
        connection.shutdown('both')
        console.log(connection.state)
        const reading = setInterval(() => { try { peer.receive(into) } catch { clearInterval(reading); peer.close() } }, 1)
        setTimeout(() => process.exit(), 2000).unref()
      },
      error: (_, { code, syscall }) => console.log('error', syscall, code),
      close: (_, error) => { console.log('close', error?.code); process.exit() },
    } })
    const into = Buffer.alloc(65536)
    const peer = Socket.connect({ host: '127.0.0.1', port: server.port, receiveBufferSize: 4096 })`
  const inject = 'sendto,sendmsg:error=EHOSTUNREACH:when=3'
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'sendto,sendmsg', inject)
  t.is(code, 0, stderr)
  t.deepEqual(stdout.trim().split('\n'), ['closing', 'error write EHOSTUNREACH', 'close EHOSTUNREACH'])
})

testWith(['strace'], 'a_wait_in_which_the_kernel_fails_is_rejected_and_the_next_one_goes_on', async (t) => {
  const source = `
    import { Multiplexer } from 'm-socket'
    const multiplexer = new Multiplexer()
    const failed = multiplexer.wait(50).catch((error) => error.message)
    console.log(await failed, (await multiplexer.wait(20)).length)
    multiplexer.close()`
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'epoll_wait', 'epoll_wait:error=EPERM:when=1')
  t.is(code, 0, stderr)
  t.is(stdout.trim(), 'epoll_wait EPERM 0')
})
