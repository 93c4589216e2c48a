import test from 'ava'

import { runModule } from '../support/child.js'

/** Each runs in a process of its own, which has to end by itself. `net` and a listening `server` are there. */
const CASES: Record<string, [source: string, output: string]> = {
  'an idle reader that is paused': [
    `const client = net.connect(port, '127.0.0.1', () => { client.pause(); log('connected') })
     client.pause()`,
    'connected',
  ],
  'a reader that is unreferenced': [
    `const client = net.connect(port, '127.0.0.1', () => { client.unref().resume(); log('connected') })`,
    'connected',
  ],
  'a client that is unreferenced before it connects': [
    `net.connect(port, '127.0.0.1').unref().on('connect', () => log('connected')); setTimeout(() => log('waited'), 300)`,
    'connected waited',
  ],
  'a socket that is unreferenced before connect': [
    `const client = new net.Socket().unref(); client.connect(port, '127.0.0.1', () => log('connected'))`,
    'connected',
  ],
  'a socket that never connects': [`new net.Socket().ref(); log('made')`, 'made'],
  'a timeout': [
    `const client = net.connect(port, '127.0.0.1', () => { client.setTimeout(100_000).unref(); log('connected') })`,
    'connected',
  ],
  'a reader that is referenced again, until its end': [
    `const client = net.connect(port, '127.0.0.1', () => client.unref().ref().resume())
     client.on('close', () => log('closed')); server.on('connection', (it) => setTimeout(() => it.end(), 50).unref())`,
    'closed',
  ],
  'a write in progress, until it is sent': [
    `const client = net.connect(port, '127.0.0.1')
     client.pause().write(Buffer.alloc(20_000_000), () => { log('sent') })
     server.on('connection', (it) => setTimeout(() => it.resume(), 50))`,
    'sent',
  ],
}

const program = (module: string, source: string) => `
  import net from '${module}'
  const server = net.createServer((socket) => socket.pause().unref())
  const said = []
  const log = (text) => said.push(text)
  process.on('exit', () => console.log(said.join(' ')))
  server.unref().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    ${source}
  })
  setTimeout(() => {}, 20)
`

for (const [name, [source, output]] of Object.entries(CASES)) {
  test(`the_process_ends_with_${name}`, async (t) => {
    for (const module of ['m-socket/net', 'node:net']) {
      const { stdout, stderr, code } = await runModule(t, program(module, source))
      t.is(stderr, '', module)
      t.is(stdout, `${output}\n`, module)
      t.is(code, 0)
    }
  })
}
