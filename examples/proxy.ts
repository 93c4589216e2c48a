// A TCP load balancer: each connection goes to the backend with the fewest; one that is down is the last choice.
// Try: examples/proxy.ts --port 8080 127.0.0.1:5001 [::1]:5002,send-proxy-v2

import { type Connection, connect, listen, relay } from 'm-socket'

import { type HostAndPort, serve } from './cli.js'
import { headerOf } from './client-header.js'

/** Milliseconds to connect; between checks (more than one takes, as it keeps the process alive); without a byte. */
const [PATIENCE, INTERVAL, IDLE] = [800, 1000, 3_600_000]

interface Backend extends HostAndPort {
  readonly sendsHeader: boolean
  connections: number
  isUp: boolean
}

let backends: Backend[] = []

const balance = (address: object, targets: string[]) => {
  if (targets.length === 0) throw new RangeError('which backends? Each is HOST:PORT')
  backends = targets.map(parse)
  return listen({ ...address, allowHalfOpen: true, socket: { open: forward } })
}
serve('proxy', 8080, balance, true)
setInterval(() => backends.forEach(async (each) => (await dial(each))?.terminate()), INTERVAL).unref()

function parse(target: string): Backend {
  const [, host, port, option] = /^\[?(.+?)\]?:(\d+)(,send-proxy-v2)?$/.exec(target) ?? []
  if (!host || !port) throw new RangeError(`a backend is HOST:PORT or HOST:PORT,send-proxy-v2, not ${target}`)
  return { host, port, sendsHeader: option !== undefined, connections: 0, isUp: true }
}

/** Goes on to the next backend if one cannot be reached. Until then, what the client sends waits in the kernel. */
async function forward(client: Connection): Promise<void> {
  const byLoad = backends.toSorted((a, b) => Number(b.isUp) - Number(a.isUp) || a.connections - b.connections)
  for (const backend of byLoad) {
    // Of several with as few connections the first one is next.
    backends = [...backends.filter((each) => each !== backend), backend]
    backend.connections++
    const upstream = await dial(backend, client)
    // A relay that cannot begin, since the client has gone, leaves upstream open; one that fails closes both.
    if (upstream) await relay(client, upstream, { idleTimeout: IDLE }).catch(() => upstream.terminate())
    backend.connections--
    if (upstream) return
  }
  client.terminate()
}

async function dial(backend: Backend, client?: Connection): Promise<Connection | undefined> {
  const { host, port, sendsHeader } = backend
  const proxyProtocol = sendsHeader ? headerOf(client) : undefined
  const options = { host, port, connectTimeout: PATIENCE, proxyProtocol, socket: {} }
  const upstream = await connect(options).catch(() => undefined)
  const isUp = upstream !== undefined
  if (isUp !== backend.isUp) console.error(`${host}:${port} is ${isUp ? 'up' : 'down'}`)
  backend.isUp = isUp
  return upstream
}
