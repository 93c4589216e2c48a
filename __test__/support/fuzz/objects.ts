import { Duplex } from 'node:stream'

import {
  type Connection,
  Listener,
  Multiplexer,
  type Server,
  Socket,
  type SocketStream,
  connect,
  listen,
} from 'm-socket'

/** What an error of a stream is passed to. */
type OnError = (error: unknown) => void

/** Any object of the API, called as JavaScript can. */
export type Anything = Record<string, (...args: unknown[]) => unknown>

/** The objects that a sequence of calls is made on, by kind. */
export class Objects {
  readonly #all: Readonly<Record<string, object[]>> = {
    Socket: [],
    Listener: [],
    Multiplexer: [],
    Server: [],
    Connection: [],
    stream: [],
    web: [],
  }

  readonly #onError: OnError

  constructor(onError: OnError) {
    this.#onError = onError
  }

  /** One of each, in use: connected pairs, a server, a multiplexer with a target. */
  static async make(onError: OnError): Promise<Objects> {
    const objects = new Objects(onError)
    const socket = { data() {}, error() {}, connectError() {} }
    const server = listen({ host: '127.0.0.1', port: 0, socket })
    const byPath = listen({ path: '\0m-socket-fuzz-' + process.pid, socket: { error() {} } })
    objects.add(server)
    objects.add(byPath)
    objects.add(await connect({ host: '127.0.0.1', port: server.port, socket }))
    objects.add(await connect({ path: byPath.path!, socket: { error() {} } }))
    objects.add(Socket.connect({ host: '127.0.0.1', port: server.port! }))
    const [multiplexer, watched] = [new Multiplexer(), Socket.connect({ path: byPath.path! })]
    multiplexer.add(watched)
    objects.add(multiplexer)
    objects.add(watched)
    const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
    objects.add(listener)
    objects.add(Socket.connect({ port: (listener.address as { port: number }).port }))
    objects.add(listener.accept() ?? multiplexer)
    return objects
  }

  /** Keeps what a call has returned, where it is of the API. */
  add(value: unknown): void {
    if (typeof value !== 'object' || value === null) return
    const kind = value.constructor?.name ?? ''
    // A stream is called Socket, too.
    if (value instanceof Duplex) this.#all['stream']!.push(value.on('error', this.#onError))
    else if (kind in this.#all) this.#all[kind]!.push(value)
    else if ('readable' in value && 'writable' in value && 'opened' in value) this.#all['web']!.push(value)
  }

  /** One of a kind; undefined where there is none. */
  pick(kind: string, which: number): Anything | undefined {
    const all = this.#all[kind]!
    return all[which % all.length] as Anything | undefined
  }

  /** One of any kind. */
  any(which: number): object {
    const all = Object.values(this.#all).flat()
    return all[which % all.length]!
  }

  /**
   * What a call with bad arguments must not change, by object; nothing else happens meanwhile, since it is synchronous.
   * A socket that connects is not in it: the kernel completes that at any time.
   */
  snapshot(): Map<string, string> {
    const states = new Map<string, string>()
    for (const [kind, read] of Object.entries(STATES)) {
      for (const [index, each] of this.#all[kind]!.entries()) {
        const state = read(each as never)
        if (state !== undefined) states.set(`${kind} ${index}`, JSON.stringify(state))
      }
    }
    return states
  }

  async close(): Promise<void> {
    for (const stream of this.#all['stream'] as SocketStream[]) stream.destroy()
    for (const connection of this.#all['Connection'] as Connection[]) connection.terminate()
    for (const server of this.#all['Server'] as Server[]) server.stop(true)
    for (const kind of ['Socket', 'Listener', 'Multiplexer']) {
      for (const each of this.#all[kind] as { close(): void; reset?: () => void }[])
        (each.reset ?? each.close).call(each)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

type ReadState = (each: never) => unknown

const STATES: Readonly<Record<string, ReadState>> = {
  Socket: socketState,
  Listener: ({ fd, address }: Listener) => [fd, address],
  Connection: ({ readyState, state, bytesRead, bytesWritten, socket }: Connection) => [
    [readyState, state, bytesRead, bytesWritten],
    socket && socketState(socket),
  ],
  Server: ({ address, connections }: Server) => [address, connections],
  stream: ({ destroyed, writableEnded, writableLength }: SocketStream) => [destroyed, writableEnded, writableLength],
}

/** Undefined while it connects. */
function socketState(socket: Socket): unknown {
  const { fd, state, queued, readEnded, writeEnded, blocking, bytesSent } = socket
  if (state === 'connecting') return undefined
  if (state === 'closed' || state === 'closing') return [fd, state, queued]
  return [fd, state, queued, readEnded, writeEnded, blocking, bytesSent, socket.sendQueueLimit]
}
