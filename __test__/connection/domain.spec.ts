import test, { type ExecutionContext } from 'ava'

import { runModule } from '../support/child.js'

// node:domain changes Node for as long as the process lives, so each test is a process of its own.

/** A program with two domains, `mine` and `others`, and what both and the process were given as uncaught errors. */
const PROGRAM = `
  import domain from 'node:domain'
  import { connect, listen, toDuplex } from 'm-socket'
  const caught = []
  const note = (where) => (error) => caught.push(where + ': ' + error.message)
  const [mine, others] = [domain.create(), domain.create()]
  mine.on('error', note('mine'))
  others.on('error', note('others'))
  process.on('uncaughtException', note('process'))
  const closed = []
  const close = () => void closed.push(1)
  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const fail = (message) => () => { throw new Error(message) }
  const reject = (message) => async () => { await undefined; throw new Error(message) }
  const at = (server) => ({ host: '127.0.0.1', port: server.port })
  const here = { host: '127.0.0.1', port: 0 }
`

/** Runs a program that prints what was caught, and compares that with `expected`. */
async function catches(t: ExecutionContext, source: string, expected: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runModule(t, `${PROGRAM}${source}\nconsole.log(JSON.stringify(caught))`)
  t.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  t.deepEqual(JSON.parse(stdout), expected)
}

test('what_a_handler_of_a_server_throws_reaches_the_domain_of_listen', async (t) => {
  await catches(
    t,
    `
    const socket = { open: fail('open'), data: reject('data'), end: fail('end'), close }
    const server = mine.run(() => listen({ ...here, socket }))
    const client = await others.run(() => connect(at(server)))
    others.run(() => client.end('hello'))
    await until(() => closed.length === 1 && caught.length === 3)
    caught.sort()
    server.stop()`,
    ['mine: data', 'mine: end', 'mine: open'],
  )
})

test('what_a_handler_of_a_client_throws_reaches_the_domain_of_connect', async (t) => {
  await catches(
    t,
    `
    const server = others.run(() => listen({ ...here, socket: { open: (c) => void c.end('hello'), data() {} } }))
    const socket = { open: fail('open'), data: reject('data'), end: fail('end'), close }
    await mine.run(() => connect({ ...at(server), socket }))
    await until(() => closed.length === 1 && caught.length === 3)
    caught.sort()
    server.stop()`,
    ['mine: data', 'mine: end', 'mine: open'],
  )
})

test('what_an_error_handler_throws_reaches_the_domain_of_connect', async (t) => {
  await catches(
    t,
    `
    const server = listen({ ...here, socket: { data() {} } })
    const socket = { open: fail('open'), error: (_, error) => { throw new Error('error of ' + error.message) }, close }
    const connection = await mine.run(() => connect({ ...at(server), socket }))
    await until(() => caught.length === 1)
    others.run(() => connection.terminate())
    await until(() => closed.length === 1)
    server.stop()`,
    ['mine: error of open'],
  )
})

test('a_handler_outside_of_domains_does_not_reach_the_domain_of_another', async (t) => {
  await catches(
    t,
    `
    const socket = { open: fail('open'), timeout: fail('timeout'), close: fail('close') }
    const server = listen({ ...here, allowHalfOpen: true })
    // The first to need the shared poller and the timer of idle times.
    const first = await others.run(() => connect({ ...at(server), idleTimeout: 100, socket: { data() {} } }))
    await connect({ ...at(server), idleTimeout: 100, socket })
    await until(() => caught.length === 3)
    const second = await connect({ ...at(server), socket: { data() {}, close: fail('close of the second') } })
    others.run(() => second.terminate())
    await until(() => caught.length === 4)
    first.terminate()
    server.stop(true)`,
    ['process: open', 'process: timeout', 'process: close', 'process: close of the second'],
  )
})

test('what_a_listener_of_a_stream_throws_reaches_the_domain_of_its_maker_only', async (t) => {
  await catches(
    t,
    `
    const server = listen({ ...here, socket: { data: (c, chunk) => void c.write(chunk) } })
    const connections = await Promise.all([1, 2].map(() => connect({ ...at(server), socket: { close } })))
    const duplex = mine.run(() => toDuplex(connections[0]))
    duplex.on('data', fail('data of the stream'))
    const other = await connect({ ...at(server), socket: { data: fail('data of another'), close } })
    duplex.write('x')
    other.write('x')
    await until(() => caught.length === 2)
    caught.sort()
    duplex.destroy()
    for (const connection of [...connections, other]) connection.terminate()
    server.stop(true)`,
    ['mine: data of the stream', 'process: data of another'],
  )
})

test('what_listeners_of_a_stream_throw_when_Node_calls_them_reaches_the_domain_of_its_maker', async (t) => {
  await catches(
    t,
    `
    const server = listen({ ...here, socket: { open: (c) => void c.end('hello'), data() {} } })
    for (const event of ['readable', 'end', 'finish', 'close']) {
      const client = await connect(at(server))
      const duplex = mine.run(() => toDuplex(client))
      duplex.once(event, fail(event))
      const before = caught.length
      others.run(() => duplex.end('x'))
      // An exception leaves out what Node would have done next.
      await until(() => {
        duplex.read()
        return caught.length > before
      })
      duplex.destroy()
    }
    const bystander = await connect({ ...at(server), socket: { data: fail('bystander'), close } })
    await until(() => caught.length === 5)
    server.stop(true)`,
    ['mine: readable', 'mine: end', 'mine: finish', 'mine: close', 'process: bystander'],
  )
})

test('a_domain_whose_run_a_handler_has_left_by_an_exception_ends_with_the_handler', async (t) => {
  await catches(
    t,
    `
    const server = listen({ ...here, socket: { open: (c) => void c.write('hello') } })
    let failed = 0
    const socket = { data: () => others.run(fail('inside')), error: () => void failed++, close }
    const connections = await Promise.all([1, 2].map(() => connect({ ...at(server), socket })))
    await until(() => failed === 2)
    for (const connection of connections) connection.reload({ socket: { close: fail('close') } })
    for (const connection of connections) connection.terminate()
    await until(() => caught.length === 2)
    server.stop(true)`,
    ['process: close', 'process: close'],
  )
})

test('a_global_variable_named_domain_is_not_taken_for_a_domain', async (t) => {
  await catches(
    t,
    `
    globalThis.domain = 'example.org'
    const server = listen({ ...here, socket: { data: (c, chunk) => void c.end(chunk), close } })
    const client = await connect({ ...at(server), idleTimeout: 1000, socket: { data: (_, chunk) => caught.push(String(chunk)), close } })
    client.write('hello')
    await until(() => closed.length === 2)
    server.stop()`,
    ['hello'],
  )
})
