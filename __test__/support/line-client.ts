import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { createInterface } from 'node:readline'

import type { ExecutionContext } from 'ava'

/** A line-based client on a socket of node:net: sends lines, and reads one at a time. */
export class LineClient {
  readonly socket: Socket
  readonly #lines: AsyncIterator<string>

  private constructor(socket: Socket) {
    this.socket = socket
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  }

  /** The socket is destroyed at the end of the test. */
  static async connect(t: ExecutionContext, port: number): Promise<LineClient> {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    return new LineClient(socket)
  }

  say(line: string): void {
    this.socket.write(`${line}\n`)
  }

  /** The next line; undefined at the end. */
  async next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next()
    return done ? undefined : value
  }

  async take(count: number): Promise<(string | undefined)[]> {
    const lines: (string | undefined)[] = []
    while (lines.length < count) lines.push(await this.next())
    return lines
  }

  /** All lines until the end. */
  async rest(): Promise<string[]> {
    const lines: string[] = []
    for (let line = await this.next(); line !== undefined; line = await this.next()) lines.push(line)
    return lines
  }
}
