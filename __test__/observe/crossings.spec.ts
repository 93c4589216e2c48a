// What is observed costs no call into the addon while nothing observes it.

import { CALLBACK, startCounting, stopCounting } from '../support/crossings.js'

import test from 'ava'

import { closeAtEnd } from '../support/pair.js'
import { ON_NODE } from '../support/runtime.js'
import { connectSocket, testServer, withResolvers } from '../support/server.js'

const testOnNode = ON_NODE ? test.serial : test.serial.skip

const nextTurns = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

testOnNode('a_server_accepts_its_last_connection_and_stops', async (t) => {
  const { promise, resolve } = withResolvers()
  const server = testServer(t, { maxConnections: 1, socket: { open: () => resolve(), data() {} } })
  await nextTurns()
  connectSocket(t, server)
  startCounting()
  await promise
  await nextTurns()
  t.deepEqual(stopCounting(), [CALLBACK, 'wait', 'flushCorked'])
  startCounting()
  server.stop()
  t.deepEqual(stopCounting(), ['close'])
})

testOnNode('the_bytes_of_a_closed_connection_are_known', async (t) => {
  const { promise, resolve } = withResolvers()
  const server = testServer(t, { socket: { data() {}, close: () => resolve() } })
  const client = closeAtEnd(t, connectSocket(t, server))
  while (server.connections === 0) await nextTurns()
  client.close()
  await promise
  startCounting()
  t.is(server.stats().closed, 1)
  t.deepEqual(stopCounting(), [])
})
