// accept4(2) fails with errors that no connection of the backlog is to blame for.

import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

/** A server and one client; prints each warning, and then that the client was served. */
const SERVER = `
  import { connect, listen } from 'm-socket'
  process.on('warning', ({ name, code, syscall }) => console.log(name, code, syscall))
  const server = listen({ host: '127.0.0.1', port: 0, socket: { open: (connection) => void connection.write('hello') } })
  const serve = () => new Promise((resolve) => {
    connect({ host: '127.0.0.1', port: server.port, socket: { data(connection, chunk) {
      console.log(String(chunk))
      connection.terminate()
      setImmediate(resolve)
    } } })
  })`

for (const error of ['EPERM', 'EACCES', 'EIO', 'EINVAL']) {
  testWith(['strace'], `a_server_outlives_an_accept_that_fails_for_a_while (${error})`, async (t) => {
    const source = `${SERVER}
      await serve()
      server.stop(true)`
    // EPERM is skipped 16 times before it is an error.
    const nth = error === 'EPERM' ? '1..51' : '1..3'
    const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', `accept4:error=${error}:when=${nth}`)
    t.is(code, 0, stderr)
    t.is(stdout, `SocketError ${error} accept4\nhello\n`)
  })
}

testWith(['strace'], 'a_server_warns_again_of_an_error_that_comes_again', async (t) => {
  const source = `${SERVER}
    await serve()
    await serve()
    server.stop(true)`
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', 'accept4:error=EACCES:when=1+2')
  t.is(code, 0, stderr)
  const lines = stdout.trimEnd().split('\n')
  t.is(lines.filter((line) => line === 'hello').length, 2)
  t.true(lines.filter((line) => line === 'SocketError EACCES accept4').length >= 2, stdout)
})

for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
  testWith(['strace'], `a_server_backs_off_silently_when_resources_run_out (${error})`, async (t) => {
    const source = `${SERVER}
      await serve()
      server.stop(true)`
    const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', `accept4:error=${error}:when=1..3`)
    t.is(code, 0, stderr)
    t.is(stdout, 'hello\n')
  })
}

for (const error of ['EPERM', 'EACCES', 'ECONNABORTED']) {
  testWith(['strace'], `an_accept_that_always_fails_does_not_stop_the_loop (${error})`, async (t) => {
    const source = `
      import { connect as dial } from 'node:net'
      import { Listener, Multiplexer, listen } from 'm-socket'
      const server = listen({ host: '127.0.0.1', port: 0, socket: {} })
      const listener = Listener.bind({ host: '127.0.0.1' })
      const multiplexer = new Multiplexer()
      multiplexer.add(listener, 'r', 'level')
      const refused = []
      void (async () => {
        for await (const [{ target }] of multiplexer) try { target.accept() } catch ({ code }) { refused.push(code) }
      })()
      for (const { port } of [server, listener.address]) dial(port, '127.0.0.1').on('error', () => {})
      setTimeout(() => process.exit(refused.every((code) => code === '${error}') ? 0 : 1), 1000)`
    const { code, stderr, calls } = await runUnderStrace(t, source, 'accept4', `accept4:error=${error}:when=1+`)
    t.is(code, 0, stderr)
    t.regex(stderr, new RegExp(`accept4 ${error}`))
    t.is(stderr.split('accept4').length - 1, 1, 'one warning')
    t.true(calls.length >= 2 && calls.length < 1000, `${calls.length} calls`)
  })
}

testWith(['strace'], 'an_iteration_throws_what_accept_throws_and_the_next_one_goes_on', async (t) => {
  const source = `
    import { Listener, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const client = Socket.connect({ port: listener.address.port })
    const results = []
    while (!results.includes('accepted')) {
      try {
        for await (const socket of listener) {
          results.push('accepted')
          socket.close()
          break
        }
      } catch ({ code, syscall }) { results.push(syscall + ' ' + code) }
    }
    console.log(results.join())
    client.close()
    listener.close()`
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', 'accept4:error=EACCES:when=1..2')
  t.is(code, 0, stderr)
  t.is(stdout, 'accept4 EACCES,accept4 EACCES,accepted\n')
})

testWith(['strace'], 'a_listener_is_reported_again_after_an_error_that_accept_does_not_name', async (t) => {
  const source = `
    import { Listener, Multiplexer, Socket } from 'm-socket'
    const listener = Listener.bind({ host: '127.0.0.1' })
    const client = Socket.connect({ port: listener.address.port })
    const multiplexer = new Multiplexer()
    multiplexer.add(listener, 'r')
    const results = []
    const accept = (events) => {
      for (const { target } of events) {
        try { results.push(target.accept() ? 'accepted' : 'none') } catch ({ code }) { results.push(code) }
      }
    }
    accept(await multiplexer.wait())
    accept(multiplexer.waitSync())
    accept(await multiplexer.wait())
    console.log(results.join())
    process.exit()`
  const { code, stdout, stderr } = await runUnderStrace(t, source, 'accept4', 'accept4:error=EIO:when=1..2')
  t.is(code, 0, stderr)
  t.is(stdout, 'EIO,EIO,accepted\n')
})
