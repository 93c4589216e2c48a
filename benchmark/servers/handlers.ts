// One set of handlers for all connections. --borrowed: the chunks are views of one buffer (receiveInto).

import { listen } from 'm-socket'

import { announce, has, mode } from './support/control.js'

const server = listen<Buffer | undefined>({
  host: '127.0.0.1',
  port: 0,
  backlog: 4096,
  ...(has('--borrowed') ? { receiveInto: Buffer.alloc(65536) } : {}),
  socket:
    mode === 'sink'
      ? {
          data() {},
          end: (connection) => void connection.end(String(connection.bytesRead)),
        }
      : {
          data(connection, chunk) {
            const taken = connection.write(chunk)
            if (taken === chunk.length || taken < 0) return
            connection.data = Buffer.from(chunk.subarray(taken))
            connection.pause()
          },
          drain(connection) {
            const rest = connection.data!
            const taken = connection.write(rest)
            if (taken < rest.length) return void (connection.data = rest.subarray(taken))
            connection.data = undefined
            connection.resume()
          },
        },
})

announce(server.port!)
