import type { Duplex } from 'node:stream'
import {
  type Connection,
  type Server,
  SocketClosedError,
  SocketError,
  SocketQueueError,
  connect,
  listen,
  toDuplex,
  toWeb,
} from 'm-socket'

import { same } from './equal.js'

interface Session {
  name: string
}

const server = listen<Session>({
  port: 0,
  data: { name: 'unknown' },
  socket: {
    open: (connection) => same<typeof connection, Connection<Session>>(),
    data(connection, chunk) {
      same<typeof connection.data, Session>()
      same<typeof chunk extends Uint8Array ? true : false, true>()
      same<ReturnType<typeof connection.write>, number>()
      connection.data.name = chunk.toString()
      // @ts-expect-error a session has no such field
      connection.data.age = 1
    },
    async drain() {},
    error: (_, error) => same<typeof error extends Error ? true : false, true>(),
  },
})
same<typeof server, Server<Session>>()
same<typeof server.port, number | undefined>()
// @ts-expect-error there is no such handler
listen({ port: 0, socket: { datum: () => {} } })
listen({ port: '80', socket: {} })

export async function client(): Promise<void> {
  const connection = await connect({ hostname: 'localhost', port: 1, socket: {} })
  same<Awaited<ReturnType<typeof connection.read>>, number | null>()
  for await (const chunk of connection) same<typeof chunk extends Uint8Array ? true : false, true>()
  same<ReturnType<typeof toDuplex> extends Duplex ? true : false, true>()
  same<ReturnType<typeof toWeb>['closed'], Promise<void>>()
}

export function errors(error: SocketError): void {
  same<typeof error.code, string>()
  same<SocketClosedError extends SocketError ? true : false, true>()
  same<SocketQueueError extends SocketError ? true : false, true>()
}
