// Proxies to 127.0.0.1:PORT: `relay.js KIND PORT`. relay: relay() of two sockets. connections: relay() of two
// connections. handlers: the handlers of each end write to the other. pipe: node:net and pipe(); --own: on m-socket/net.

import process from 'node:process'
import type { Socket as NetSocket } from 'node:net'

import * as own from 'm-socket'
import { type Connection, Listener, Socket, connect, listen } from 'm-socket'

import { announce, has } from './support/control.js'

type Relay = (one: Socket | Connection, other: Socket | Connection) => Promise<unknown>

/** The bytes that the other end has not taken. */
interface Half {
  other?: Connection<Half>
  rest?: Buffer | undefined
}

const { relay } = own as unknown as { relay?: Relay }
const [, , kind, backendPort] = process.argv
const backend = { host: '127.0.0.1', port: Number(backendPort) }
const here = { host: '127.0.0.1', port: 0, backlog: 4096 }

if ((kind === 'relay' || kind === 'connections') && !relay) throw new Error('m-socket has no relay()')
if (kind === 'relay') await relaySockets()
else if (kind === 'connections') announce(listen({ ...here, socket: { open: relayConnection } }).port!)
else if (kind === 'handlers')
  announce(
    listen<Half>({ ...here, allowHalfOpen: true, data: {}, socket: { ...handlers(), open: connectOther } }).port!,
  )
else await pipe()

function ignore(): void {}

function relayed(one: Socket | Connection, other: Socket | Connection): void {
  relay!(one, other).catch(ignore)
}

async function relaySockets(): Promise<void> {
  const listener = Listener.bind({ ...here, noDelay: true })
  announce((listener.address as { port: number }).port)
  for await (const client of listener) relayed(client, Socket.connect({ ...backend, noDelay: true }))
}

function relayConnection(client: Connection): void {
  connect({ ...backend, socket: {} }).then(
    (server) => relayed(client, server),
    () => client.terminate(),
  )
}

function connectOther(client: Connection<Half>): void {
  client.pause()
  client.data = {}
  connect<Half>({ ...backend, allowHalfOpen: true, data: { other: client }, socket: handlers() }).then(
    (server) => {
      client.data.other = server
      client.resume()
    },
    () => client.terminate(),
  )
}

function handlers() {
  return {
    data(from: Connection<Half>, chunk: Buffer): void {
      const to = from.data.other!
      const taken = to.write(chunk)
      if (taken === chunk.length || taken < 0) return
      from.data.rest = Buffer.from(chunk.subarray(taken))
      from.pause()
    },
    drain(to: Connection<Half>): void {
      const from = to.data.other!
      const { rest } = from.data
      if (!rest) return
      const taken = to.write(rest)
      if (taken < rest.length) return void (from.data.rest = rest.subarray(taken))
      from.data.rest = undefined
      from.resume()
    },
    end: (from: Connection<Half>) => void from.data.other!.end(),
    close: (from: Connection<Half>, error?: Error) => void (error && from.data.other?.terminate()),
  }
}

async function pipe(): Promise<void> {
  const net = (await import(has('--own') ? 'm-socket/net' : 'node:net')) as typeof import('node:net')
  const options = { allowHalfOpen: true, noDelay: true }
  const server = net.createServer(options, (client) => {
    const other = net.connect({ ...options, ...backend })
    for (const [one, another] of [
      [client, other],
      [other, client],
    ] as [NetSocket, NetSocket][]) {
      one.pipe(another)
      one.on('error', () => another.destroy())
    }
  })
  server.listen(here, () => announce((server.address() as { port: number }).port))
}
