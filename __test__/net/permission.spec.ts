import test from 'ava'

import { type Outcome } from '../support/child.js'
import { run } from '../support/fixture.js'

const program = (net: string, act: string) => `
  const { inspect } = require('node:util')
  const net = require('${net}').default ?? require('${net}')
  const said = (value) =>
    value instanceof Error
      ? { message: value.message, ...Object.fromEntries(Object.entries(value).map(([key, part]) => [key, said(part)])) }
      : value
  const log = (...values) => console.log(inspect(values.map(said), { depth: 5, breakLength: Infinity }))
  const lookup = (_name, _options, callback) =>
    process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }])
  try {
    const it = ${act}
    for (const name of ['connectionAttempt', 'connectionAttemptFailed', 'connect', 'listening', 'error', 'close'])
      it.on(name, (...args) => log(name, ...args))
  } catch (error) {
    log('threw', error)
  }
`

const CASES = {
  'connect to a path': "net.connect('/tmp/nowhere')",
  'connect to an abstract path': "net.connect('\\0nowhere')",
  'connect to an address': "net.connect(80, '127.0.0.1')",
  'connect to several addresses': "net.connect({ port: 80, host: 'some.name', lookup, autoSelectFamily: true })",
  'listen on a port': 'net.createServer().listen(0)',
  'listen on a path': "net.createServer().listen('/tmp/nowhere.sock')",
}

// Older ones have no permission for the network.
const hasPermission =
  Number.parseInt(process.versions.node) >= 25 && !process.versions['bun'] && !process.versions['deno']

for (const [name, act] of Object.entries(CASES)) {
  const testIt = hasPermission ? test : test.skip
  testIt(`without_allow-net_it_is_refused: ${name}`, async (t) => {
    const outcomes: Outcome[] = []
    for (const module of ['m-socket/net', 'node:net']) {
      const args = ['--no-warnings', '--permission', '--allow-addons', '--allow-fs-read=*', '-e', program(module, act)]
      outcomes.push(await run(t, process.execPath, args))
    }
    t.regex(outcomes[0]!.stdout, /ERR_ACCESS_DENIED/)
    t.deepEqual(outcomes[0], outcomes[1])
  })
}
