import test, { type ExecutionContext } from 'ava'

import { runModule } from '../support/child.js'

// What the library keeps must not keep the store of an AsyncLocalStorage from being collected. Each test is a process of
// its own: its request is the first to use the library.

const PROGRAM = `
  import { AsyncLocalStorage } from 'node:async_hooks'
  const requests = new AsyncLocalStorage()
  const here = { host: '127.0.0.1', port: 0 }
  const at = (server) => ({ host: '127.0.0.1', port: server.port })
  const turn = (time = 1) => new Promise((resolve) => setTimeout(resolve, time))
  const until = async (condition) => { while (!condition()) await turn() }
  /** Runs a request with a store, of which only a weak reference is left. */
  async function request(act) {
    const store = { name: 'a request' }
    await requests.run(store, act)
    return new WeakRef(store)
  }
  async function isCollected(ref) {
    for (let tries = 0; ref.deref() !== undefined && tries < 50; tries++) {
      await turn(5)
      globalThis.gc()
    }
    return ref.deref() === undefined
  }
`
const IMPORT = `const { Listener, Multiplexer, Socket, connect, listen, toDuplex } = await import('m-socket')\n`

async function isCollected(t: ExecutionContext, source: string): Promise<void> {
  const { code, stdout, stderr } = await runModule(t, `${PROGRAM}${source}\nprocess.exit()`, {
    nodeArguments: ['--expose-gc'],
  })
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'true\n', stderr: '' })
}

test('a_store_in_which_a_connection_lived_is_collected_while_others_go_on', async (t) => {
  await isCollected(
    t,
    `${IMPORT}
    let server
    const ref = await request(async () => {
      // The first to need the shared poller, the timer of idle times, the timers of a race, and an immediate.
      const first = listen({ ...here, socket: { data: (c, chunk) => void c.write(chunk) } })
      const it = await connect({ ...at(first), connectTimeout: 60_000, idleTimeout: 50_000, socket: { data() {} } })
      it.timeout(40_000).write('hello')
      await turn(20)
      it.terminate()
      first.stop(true)
    })
    server = listen({ ...here, socket: { data() {} } })
    const other = await connect({ ...at(server), idleTimeout: 60_000, socket: { data() {} } })
    console.log(await isCollected(ref))
    other.terminate()`,
  )
})

for (const [name, act] of [
  [
    'a connection',
    "const it = await connect({ ...at(server), socket: { data() {}, close() {} } }); it.end('x'); return it",
  ],
  ['a connection that was terminated', 'const it = await connect(at(server)); it.terminate(); return it'],
  ['a server', 'const it = listen(here); it.stop(); return it'],
  [
    'a server with connections',
    `const it = listen({ ...here, socket: { data() {}, close() {} } })
     for (let count = 0; count < 3; count++) await connect(at(it))
     await until(() => it.connections === 3)
     it.stop(true)
     return it`,
  ],
  [
    'a stream',
    'const it = toDuplex(Socket.connect(at(server))); it.on("close", () => {}); it.end("x"); it.resume(); return it',
  ],
  [
    'a stream without listeners',
    'const it = toDuplex(Socket.connect(at(server))); it.end("x"); it.resume(); await until(() => it.closed); return it',
  ],
  ['a multiplexer', 'const it = new Multiplexer(); await it.wait(20); return it'],
  ['a listener', 'const it = Listener.bind(here); it.close(); return it'],
] as const) {
  test(`a_program_that_keeps_what_was_closed_keeps_no_store: ${name}`, async (t) => {
    await isCollected(
      t,
      `${IMPORT}
      const server = listen({ ...here, socket: { data: (c, chunk) => void c.end(chunk) } })
      let kept
      const ref = await request(async () => { kept = await (async () => { ${act} })() })
      console.log(await isCollected(ref))
      if (!kept) throw new Error('nothing was kept')
      server.stop(true)`,
    )
  })
}

test('a_failed_connect_keeps_no_store', async (t) => {
  await isCollected(
    t,
    `${IMPORT}
    const server = listen(here)
    const address = at(server)
    server.stop()
    let kept
    const ref = await request(async () => {
      await connect({ ...address, connectTimeout: 60_000, socket: { connectError: (it) => void (kept = it) } }).catch(() => {})
    })
    console.log(await isCollected(ref))
    if (!kept) throw new Error('nothing was kept')`,
  )
})

test('shared_timers_that_a_request_has_armed_keep_no_store', async (t) => {
  await isCollected(
    t,
    `${IMPORT}
    const server = listen({ ...here, socket: { data() {} } })
    const other = await connect({ ...at(server), socket: { data() {} } })
    const ref = await request(() => void other.timeout(60_000))
    console.log(await isCollected(ref))
    other.terminate()
    server.stop(true)`,
  )
})

test('a_store_in_which_the_library_was_loaded_is_collected', async (t) => {
  await isCollected(
    t,
    `
    // The first import of node:util opens process.stderr, which keeps the store if it is a pipe.
    await import('node:util')
    const inNode = await isCollected(await request(() => import('data:text/javascript,0')))
    let library
    const ref = await request(async () => {
      library = await import('m-socket')
      library.listen(here).stop()
      await library.connect({ host: 'localhost', port: 1 }).catch(() => {})
    })
    const server = library.listen({ ...here, idleTimeout: 60_000, socket: { data() {} } })
    const other = await library.connect({ ...at(server), idleTimeout: 60_000, socket: { data() {} } })
    // Node 20 and 22 themselves keep the store in which a module is imported.
    console.log((await isCollected(ref)) || !inNode)
    other.terminate()`,
  )
})

test('a_request_that_loads_the_library_lends_its_store_to_no_other', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `${PROGRAM}
    const { connect, listen } = await requests.run('first', () => import('m-socket'))
    const seen = []
    const note = () => void seen.push(requests.getStore())
    const handlers = { open: note, data: note, end: note, timeout: note, close: note }
    const server = requests.run('second', () => listen({ ...here, allowHalfOpen: true, idleTimeout: 50 }))
    await connect({ ...at(server), idleTimeout: 50, socket: handlers })
    await until(() => seen.length >= 2 && server.connections === 0)
    console.log(JSON.stringify([...new Set(seen)]))
    server.stop()`,
  )
  t.deepEqual({ code, stdout, stderr }, { code: 0, stdout: '[null]\n', stderr: '' })
})
