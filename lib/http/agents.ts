import http, { type ClientRequest } from 'node:http'
import https from 'node:https'
import type { NetConnectOpts, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { setImmediate } from '../loop/timers.js'
import { net } from '../net/linux.js'
import type { MultipathOption } from '../model/multipath.js'
import type { SettableOptions } from '../options/index.js'
import { connectNative } from './connect-native.js'

/** What `http.Agent` takes, and options of the kernel for each connection. */
export interface HttpAgentOptions
  extends http.AgentOptions, Partial<Omit<SettableOptions, keyof http.AgentOptions>>, MultipathOption {}

/** What `https.Agent` takes, and options of the kernel for each connection. */
export interface HttpsAgentOptions
  extends https.AgentOptions, Partial<Omit<SettableOptions, keyof https.AgentOptions>>, MultipathOption {}

type Created = (error: Error | null, stream: Duplex) => void

/** In the options of a connection: the request that it is made for. */
const REQUEST = Symbol('request')

type Options = NetConnectOpts & {
  readonly [REQUEST]?: ClientRequest
  readonly socket?: Duplex
  readonly _agentKey: string
}

/** What @types/node does not have of an agent. */
interface Internals {
  addRequest(request: ClientRequest, options: object): void
  createConnection(options: object, created?: Created): Duplex
  removeSocket(socket: Duplex, options: object): void
  readonly sockets: Record<string, Duplex[]>
  /** Those that wait for a connection. */
  readonly requests: Record<string, ClientRequest[]>
  totalSocketCount: number
}

const ofHttp = http.Agent.prototype as unknown as Internals
const ofHttps = https.Agent.prototype as unknown as Internals

/** An option of newer versions of Node, whose own sockets connect to the proxy then. */
function usesProxy(agent: object): boolean {
  return (agent as { readonly options: { readonly proxyEnv?: unknown } }).options.proxyEnv !== undefined
}

/**
 * The agent of node:http, with sockets of `m-socket/net` as its connections. With the option `proxyEnv` they are Node's.
 */
export class HttpAgent extends http.Agent {
  // oxlint-disable-next-line no-useless-constructor -- it declares the options
  constructor(options?: HttpAgentOptions) {
    super(options)
  }

  /** @internal */
  override createConnection(options: object, created?: Created): Duplex {
    if (usesProxy(this)) return ofHttp.createConnection.call(this, options, created)
    return net.createConnection(options as Options)
  }
}

/**
 * The agent of node:https: it connects with sockets of `m-socket/net`, and TLS runs over Node's own on the same
 * descriptors, as it costs less there. A request has its `socket` when it is connected.
 *
 * With the option `proxyEnv` the connections are Node's.
 */
export class HttpsAgent extends https.Agent {
  // oxlint-disable-next-line no-useless-constructor -- it declares the options
  constructor(options?: HttpsAgentOptions) {
    super(options)
  }

  /** @internal */
  addRequest(request: ClientRequest, options: object | string, port?: unknown, localAddress?: unknown): void {
    const own = typeof options === 'string' ? { host: options, port, localAddress } : options
    ofHttps.addRequest.call(this, request, { ...own, [REQUEST]: request })
  }

  /** @internal */
  override createConnection(options: object, created?: Created): Duplex | undefined {
    const { [REQUEST]: request, ...own } = options as Options
    if (usesProxy(this) || own.socket || !created) return ofHttps.createConnection.call(this, own, created)
    const attempt = connectNative(own as NetConnectOpts, (error, socket) => {
      leave()
      remove(internals, own._agentKey, attempt)
      if (error) {
        ;(created as (error: Error) => void)(error)
        // Requests that wait for its place get another connection.
        setImmediate(() => goOn(internals, attempt, own))
        return
      }
      created(null, secure(ofHttps.createConnection.call(this, { ...own, socket }) as Socket, own))
    })
    const internals = this as unknown as Internals
    const leave = follow(attempt, request)
    // It counts as a connection of the agent, which destroys it too.
    ;(internals.sockets[own._agentKey] ??= []).push(attempt)
    internals.totalSocketCount++
    return undefined
  }
}

/** Has the next request that waits connect. The agent leaves one that got an error among those that wait. */
function goOn(agent: Internals, attempt: Duplex, options: Options): void {
  const name = options._agentKey
  const waiting = agent.requests[name]?.filter(({ destroyed }) => !destroyed)
  if (waiting?.length === 0) delete agent.requests[name]
  else if (waiting) agent.requests[name] = waiting
  agent.removeSocket(attempt, options)
}

/** node:tls sets no timeout on a socket that it is given. */
function secure(socket: Socket, { timeout }: Options): Socket {
  return timeout ? socket.setTimeout(timeout) : socket
}

function remove(agent: Internals, name: string, attempt: Duplex): void {
  const sockets = agent.sockets[name]
  const at = sockets?.indexOf(attempt) ?? -1
  if (at < 0) return
  sockets!.splice(at, 1)
  agent.totalSocketCount--
}

/**
 * While it has no socket, a request gets the timeout of what connects, and destroying it ends that.
 *
 * @returns what ends this.
 */
function follow(attempt: Socket, request: ClientRequest | undefined): () => void {
  // The agent makes a connection for another request with the options of a former one.
  if (!request || request.destroyed || request.socket) return () => {}
  const onTimeout = () => request.emit('timeout')
  attempt.on('timeout', onTimeout)
  const { destroy } = request
  request.destroy = function (error) {
    destroy.call(this, error)
    attempt.destroy(error)
    return this
  }
  return () => {
    attempt.off('timeout', onTimeout)
    request.destroy = destroy
  }
}
