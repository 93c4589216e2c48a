import { once } from 'node:events'
import http, { type IncomingMessage, type RequestOptions } from 'node:http'
import https from 'node:https'
import nodeNet from 'node:net'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'

import test, { type ExecutionContext } from 'ava'
import { HttpAgent, HttpsAgent, type Socket as ModelSocket } from 'm-socket'
import net from 'm-socket/net'

import { blackhole } from '../support/blackhole.js'
import { certificate } from '../support/certificate.js'
import { inetAddressOf } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { listening, portOf } from '../support/serving.js'
import { freePath } from '../support/unix.js'

/** The agents of Node and ours, for both protocols, with what makes requests and servers for them. */
const PROTOCOLS = {
  http: { module: http, agents: { 'node:http': http.Agent, 'm-socket': HttpAgent } },
  https: { module: https, agents: { 'node:https': https.Agent, 'm-socket': HttpsAgent } },
} as const

async function serverOf(t: ExecutionContext, protocol: keyof typeof PROTOCOLS, answer: http.RequestListener) {
  const server = protocol === 'http' ? http.createServer(answer) : https.createServer(certificate(), answer)
  return listening(t, 'net', server as http.Server)
}

async function bodyOf(request: http.ClientRequest): Promise<string> {
  return text(((await once(request, 'response')) as [IncomingMessage])[0])
}

for (const protocol of ['http', 'https'] as const) {
  const { module, agents } = PROTOCOLS[protocol]
  for (const [name, Agent] of Object.entries(agents)) {
    const each = (title: string, run: (t: ExecutionContext, make: typeof makeAgent) => Promise<void>): void =>
      testWith(['openssl'], `${title}: ${protocol}, ${name}`, (t) => run(t, makeAgent.bind(t)))

    function makeAgent(this: ExecutionContext | void, options: https.AgentOptions = {}): http.Agent {
      const agent = new (Agent as typeof https.Agent)({ ca: certificate().cert, ...options })
      ;(this as ExecutionContext).teardown(() => agent.destroy())
      return agent as http.Agent
    }

    const get = (port: number, agent: http.Agent, options: RequestOptions = {}): http.ClientRequest =>
      module.get({ host: '127.0.0.1', port, agent, ...options } as RequestOptions)

    each('a_connection_is_kept_and_used_again', async (t, make) => {
      const ports = new Set<unknown>()
      const server = await serverOf(t, protocol, ({ socket }, response) => {
        ports.add(socket.remotePort)
        response.end('hello')
      })
      const agent = make({ keepAlive: true })
      for (let at = 0; at < 3; at++) t.is(await bodyOf(get(portOf(server), agent)), 'hello')
      t.is(ports.size, 1)
      t.is(Object.values(agent.freeSockets).flat().length, 1)
    })

    each('no_more_connections_are_made_than_maxSockets', async (t, make) => {
      const ports = new Set<unknown>()
      const server = await serverOf(t, protocol, ({ socket }, response) => {
        ports.add(socket.remotePort)
        response.end('hello')
      })
      const agent = make({ keepAlive: true, maxSockets: 2 })
      const bodies = await Promise.all(Array.from({ length: 10 }, () => bodyOf(get(portOf(server), agent))))
      t.true(bodies.every((body) => body === 'hello'))
      t.is(ports.size, 2)
    })

    each('a_refused_connection_is_an_error_of_the_request', async (t, make) => {
      const server = nodeNet.createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const port = portOf(server)
      server.close()
      await once(server, 'close')
      const agent = make({ maxSockets: 1 })
      const requests = [get(port, agent), get(port, agent)]
      for (const [error] of (await Promise.all(requests.map((request) => once(request, 'error')))) as [
        Error & { port: number },
      ][]) {
        t.is(error!.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
        t.is(error!.port, port)
      }
    })

    each('a_request_that_is_destroyed_while_it_connects_ends_at_once', async (t, make) => {
      const { port } = inetAddressOf(await blackhole(t, '127.0.0.1'))
      const request = get(port, make())
      setTimeout(() => request.destroy(), 10)
      const [error] = (await once(request, 'error')) as [NodeJS.ErrnoException]
      t.is(error.message, 'socket hang up')
      t.is(error.code, 'ECONNRESET')
    })

    each('the_timeout_comes_also_while_it_connects', async (t, make) => {
      const { port } = inetAddressOf(await blackhole(t, '127.0.0.1'))
      const request = get(port, make(), { timeout: 50 })
      await once(request, 'timeout')
      request.destroy(new Error('mine'))
      t.is(((await once(request, 'error')) as [Error])[0].message, 'mine')
    })

    each('the_timeout_comes_while_the_server_is_silent', async (t, make) => {
      const server = await serverOf(t, protocol, () => {})
      const request = get(portOf(server), make(), { timeout: 100 })
      await once(request, 'timeout')
      request.destroy()
      await once(request, 'error')
      t.pass()
    })

    each('an_agent_that_is_destroyed_ends_what_connects', async (t, make) => {
      const { port } = inetAddressOf(await blackhole(t, '127.0.0.1'))
      const agent = make()
      const request = get(port, agent)
      setTimeout(() => agent.destroy(), 10)
      t.is(((await once(request, 'error')) as [Error])[0].message, 'socket hang up')
    })

    each('a_path_a_local_address_and_a_look_up_are_used', async (t, make) => {
      const path = freePath(t)
      const remotes: unknown[] = []
      const answer: http.RequestListener = ({ socket }, response) => {
        remotes.push(socket.remoteAddress)
        response.end('hello')
      }
      const server = await serverOf(t, protocol, answer)
      const onPath = protocol === 'http' ? http.createServer(answer) : https.createServer(certificate(), answer)
      await once(onPath.listen(path), 'listening')
      t.teardown(() => void onPath.close())
      t.is(await bodyOf(get(0, make(), { socketPath: path, host: 'localhost' })), 'hello')
      t.is(await bodyOf(get(portOf(server), make(), { localAddress: '127.0.0.2' })), 'hello')
      const lookup = ((_: string, options: { all?: boolean }, done: (...found: unknown[]) => void) =>
        options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) as never
      t.is(await bodyOf(get(portOf(server), make(), { host: 'localhost', lookup })), 'hello')
      t.deepEqual(remotes, [undefined, '127.0.0.2', '127.0.0.1'])
    })
  }
}

for (const [name, Agent] of Object.entries(PROTOCOLS.https.agents)) {
  testWith(['openssl'], `TLS_has_its_name_protocol_and_sessions: ${name}`, async (t) => {
    const seen: unknown[] = []
    const server = await serverOf(t, 'https', ({ socket }, response) => {
      const { servername, alpnProtocol } = socket as TLSSocket & { servername: unknown }
      seen.push([servername, alpnProtocol, (socket as TLSSocket).isSessionReused()])
      response.end('hello')
    })
    const agent = new Agent({ ca: certificate().cert, maxCachedSessions: 10, ALPNProtocols: ['http/1.1'] })
    t.teardown(() => agent.destroy())
    for (let at = 0; at < 2; at++) {
      const request = https.get({ host: '127.0.0.1', servername: 'localhost', port: portOf(server), agent })
      t.is(await bodyOf(request), 'hello')
    }
    t.deepEqual(seen, [
      ['localhost', 'http/1.1', false],
      ['localhost', 'http/1.1', true],
    ])
  })

  testWith(['openssl'], `a_certificate_that_is_not_trusted_is_an_error: ${name}`, async (t) => {
    const server = await serverOf(t, 'https', () => t.fail())
    const agent = new Agent()
    const request = https.get({ host: 'localhost', family: 4, port: portOf(server), agent })
    t.is(((await once(request, 'error')) as [NodeJS.ErrnoException])[0].code, 'DEPTH_ZERO_SELF_SIGNED_CERT')
  })
}

test('the_connections_are_of_m-socket/net_and_have_options_of_the_kernel', async (t) => {
  const server = await serverOf(t, 'http', (_, response) => void response.end('hello'))
  const agent = new HttpAgent({ userTimeout: 12_000 })
  const request = http.get({ host: '127.0.0.1', port: portOf(server), agent })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  t.is(Object.getPrototypeOf(response.socket), net.Socket.prototype)
  t.is((response.socket as unknown as { socket: ModelSocket }).socket.getOption('userTimeout'), 12_000)
  await text(response)
})
