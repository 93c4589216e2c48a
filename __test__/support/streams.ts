import { once } from 'node:events'
import nodeNet from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { Socket, toDuplex } from 'm-socket'
import ourNet from 'm-socket/net'

import type { Log } from './both-nets.js'
import { acceptNext } from './waiting.js'
import { inetAddressOf, resetAtEnd, testListener } from './pair.js'
import { ON_NODE } from './runtime.js'

/** What is done with an accepted stream and the raw socket at the other end. */
type Steps = (stream: nodeNet.Socket, peer: Socket, log: Log) => unknown

interface StreamOptions {
  readonly allowHalfOpen?: boolean
}

type Maker = (t: ExecutionContext, options: StreamOptions) => Promise<[stream: nodeNet.Socket, peer: Socket]>

/** How a server of either module has one. */
const accepted =
  (net: typeof nodeNet): Maker =>
  async (t, options) => {
    const server = net.createServer(options).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const connection = once(server, 'connection')
    const { port } = server.address() as nodeNet.AddressInfo
    const peer = resetAtEnd(t, Socket.connect({ host: '127.0.0.1', port }))
    const [stream] = (await connection) as [nodeNet.Socket]
    server.close()
    return [stream, peer]
  }

const overSocket: Maker = async (t, options) => {
  const listener = testListener(t)
  const peer = resetAtEnd(t, Socket.connect(inetAddressOf(listener)))
  return [toDuplex(await acceptNext(listener), options), peer]
}

const OURS: Readonly<Record<string, Maker>> = { 'm-socket/net': accepted(ourNet), toDuplex: overSocket }

/**
 * One test of the same steps with a stream of `node:net`, of `m-socket/net` and of `toDuplex`: all must write the same
 * log, which is not empty. Where `node:net` is not Node's own, it is no measure.
 */
export function onStreams(title: string, steps: Steps, options: StreamOptions = {}): void {
  test(title, async (t) => {
    const makers = ON_NODE ? { 'node:net': accepted(nodeNet), ...OURS } : OURS
    let measure: readonly string[] | undefined
    for (const [name, make] of Object.entries(makers)) {
      const entries = await logOf(t, make, steps, options)
      t.not(entries.length, 0, 'the log is empty')
      t.deepEqual(entries, (measure ??= entries), name)
    }
  })
}

async function logOf(t: ExecutionContext, make: Maker, steps: Steps, options: StreamOptions): Promise<string[]> {
  const entries: string[] = []
  const [stream, peer] = await make(t, options)
  try {
    await steps(stream, peer, (entry) => void entries.push(String(entry)))
    return [...entries]
  } finally {
    stream.on('error', () => {}).destroy()
  }
}
