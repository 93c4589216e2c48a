import test from 'ava'
import { Multiplexer } from 'm-socket'

import { keepTimeStamps } from '../support/error-queue.js'
import { flagsFor } from '../support/event-flags.js'
import { connectedPair } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { runPython } from '../support/python.js'
import { until } from '../support/waiting.js'

test('truth 30: a_time_stamp_in_the_error_queue_is_reported_once_and_is_no_failure', async (t) => {
  const { client, server } = await connectedPair(t)
  keepTimeStamps(server)
  using multiplexer = new Multiplexer()
  multiplexer.add(server, 'r')
  server.send('stamped')
  t.is(flagsFor(server, await multiplexer.wait(50_000)), 'readable error')
  t.deepEqual(await multiplexer.wait(20), [])
  t.is(server.peek(new Uint8Array(1)), null)
  client.send('input')
  await until(() => server.receive(new Uint8Array(8)) === 5)
  t.is(server.send('more'), 'sent')
})

testWith(['python3'], 'truth 43: an_error_is_returned_once_by_whichever_call_comes_first', (t) => {
  const outcomes = runPython(`
import errno, json, socket, struct
def broken():
    listener = socket.create_server(('127.0.0.1', 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    far.close()
    return near
def first(call, near):
    try: number = call(near)
    except OSError as error: number = error.errno
    return errno.errorcode[number]
pending = lambda near: near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
calls = {
    'send': lambda near: near.send(b'x', socket.MSG_NOSIGNAL),
    'recv': lambda near: near.recv(1),
    'peek': lambda near: near.recv(1, socket.MSG_PEEK),
    'SO_ERROR': pending,
}
outcomes = {}
for name, call in calls.items():
    near = broken()
    outcomes[name] = [first(call, near), len(near.recv(1)), pending(near)]
print(json.dumps(outcomes))`)
  const once = ['ECONNRESET', 0, 0]
  t.deepEqual(JSON.parse(outcomes), { send: once, recv: once, peek: once, SO_ERROR: once })
})
