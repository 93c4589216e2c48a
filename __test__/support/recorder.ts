import type { ExecutionContext } from 'ava'
import { type Connection, type Server, listen } from 'm-socket'

/** A server that keeps all received data; stopped at the end of the test. */
export class Recorder {
  readonly server: Server
  readonly chunks: Buffer[] = []
  readonly connections: Connection[] = []

  constructor(t: ExecutionContext, host: string, port = 0) {
    this.server = listen({
      host,
      port,
      socket: {
        open: (connection) => void this.connections.push(connection),
        data: (_, chunk) => void this.chunks.push(chunk),
      },
    })
    t.teardown(() => this.server.stop(true))
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}
