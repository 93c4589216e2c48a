import test from 'ava'
import { type Connection, toDuplex, toNetSocket } from 'm-socket'

import { connectionPair } from '../support/connection-pair.js'
import { HandlerLog } from '../support/handler-log.js'
import { until } from '../support/waiting.js'

/** What the program may call between the 'error' of a stream and its 'close'. */
const CALLS: [name: string, call: (connection: Connection) => unknown][] = [
  ['nothing', () => {}],
  ['terminate', (connection) => connection.terminate()],
  ['stop', (connection) => connection.server!.stop(true)],
  ['end', (connection) => connection.end()],
  ['shutdown', (connection) => connection.shutdown('both')],
]

const ADAPTERS = { toDuplex, toNetSocket }

for (const [adapter, adapt] of Object.entries(ADAPTERS)) {
  for (const [name, call] of CALLS) {
    test(`close_has_the_error_of_the_stream: ${adapter}, ${name} called behind it`, async (t) => {
      const log = new HandlerLog()
      const { connection, accepted } = await connectionPair(t, { server: { socket: log.handlers() } })
      const stream = adapt(accepted)
      stream.on('error', (error: NodeJS.ErrnoException) => {
        log.entries.push(`stream error ${error.code}`)
        call(accepted)
      })
      stream.on('close', () => log.entries.push('stream close'))
      connection.terminate()
      await until(() => stream.closed)
      const entries = await log.closed()
      // What closes the connection comes before the closing phase, in which the stream emits 'close'.
      t.deepEqual(entries.splice(entries.indexOf('stream close'), 1), ['stream close'])
      t.deepEqual(entries, ['open', 'stream error ECONNRESET', 'close ECONNRESET'])
    })
  }
}
