// What a heap snapshot calls our objects.

import test from 'ava'

import { runModule } from '../support/child.js'
import { ON_NODE } from '../support/runtime.js'

const testOnNode = ON_NODE ? test : test.skip

/** Counts the objects of each class in a heap snapshot, whose nodes are rows of numbers. */
const COUNT = `
  import { readFileSync, rmSync } from 'node:fs'
  import { tmpdir } from 'node:os'
  import { join } from 'node:path'
  import { writeHeapSnapshot } from 'node:v8'
  function objects() {
    const file = writeHeapSnapshot(join(tmpdir(), 'm-socket-' + process.pid + '.heapsnapshot'))
    const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, 'utf8'))
    rmSync(file)
    const { node_fields: fields, node_types: [types] } = snapshot.meta
    const [type, name] = [fields.indexOf('type'), fields.indexOf('name')]
    const counts = {}
    for (let at = 0; at < nodes.length; at += fields.length) {
      if (types[nodes[at + type]] !== 'object') continue
      const called = strings[nodes[at + name]]
      counts[called] = (counts[called] ?? 0) + 1
    }
    return counts
  }`

testOnNode('a_heap_snapshot_shows_classes', async (t) => {
  const { code, stdout, stderr } = await runModule(
    t,
    `${COUNT}
    import { Listener, Multiplexer, connect, listen } from 'm-socket'
    const CONNECTIONS = 100
    const open = []
    const before = objects()
    const multiplexer = new Multiplexer()
    const server = listen({ host: '127.0.0.1', port: 0, multiplexer, socket: { data() {} } })
    const clients = []
    for (let index = 0; index < CONNECTIONS; index++) {
      clients.push(await connect({ host: '127.0.0.1', port: server.port, socket: { data() {} } }))
      while (server.connections <= index) await multiplexer.wait(10)
    }
    const after = objects()
    const grown = {}
    for (const [name, count] of Object.entries(after)) {
      const more = count - (before[name] ?? 0)
      if (more >= CONNECTIONS || ['Listener', 'Multiplexer', 'Server'].includes(name)) grown[name] = more
    }
    console.log(JSON.stringify(grown))
    process.exit()`,
  )
  t.is(code, 0, stderr)
  const grown = JSON.parse(stdout) as Record<string, number>
  // Both sides of 100 connections, and the listener.
  t.is(grown['Connection'], 200)
  t.is(grown['Socket'], 200)
  t.is(grown['Registration'], 201)
  t.deepEqual([grown['Server'], grown['Listener'], grown['Multiplexer']], [1, 1, 1])
  // Of each client: what was given to connect(), and its handlers.
  t.true((grown['Object'] ?? 0) <= 250, JSON.stringify(grown))
  t.log(grown)
})
