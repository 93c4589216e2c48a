// axios over agents of node:http, whose connections are those of `net`.

import http from 'node:http'
import net from 'node:net'

import axios from 'axios'

import { body, digest, host, sha, until } from './support/local.js'
import { MEGABYTE, unusedPort, webServer } from './support/web-server.js'

/** An agent whose connections are those of `net`, and the number of them. */
function agentOf(options) {
  const agent = new http.Agent({ keepAlive: true, ...options })
  agent.connects = 0
  agent.createConnection = (connectOptions, callback) => {
    agent.connects++
    return net.connect(connectOptions, callback)
  }
  return agent
}

const clientOf = (origin, httpAgent, options) => axios.create({ baseURL: origin, httpAgent, proxy: false, ...options })

const codeOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => `${error.name} ${error.code}`,
  )

async function withServer(use, agentOptions, clientOptions) {
  const server = await webServer()
  const agent = agentOf(agentOptions)
  const outcome = await use(clientOf(server.origin, agent, clientOptions), agent, server)
  agent.destroy()
  return { ...outcome, server: await server.close() }
}

export const steps = {
  'one connection is kept alive': () =>
    withServer(
      async (client, agent) => {
        const texts = new Set()
        for (let index = 0; index < 100; index++) texts.add((await client.get('/hello')).data)
        return { texts: [...texts], connects: agent.connects }
      },
      { maxSockets: 1 },
    ),

  '100 requests at once over 5 connections': () =>
    withServer(
      async (client, agent) => {
        const answers = await Promise.all(Array.from({ length: 100 }, () => client.get('/hello')))
        return { right: answers.filter(({ data }) => data === 'hello').length, connects: agent.connects }
      },
      { maxSockets: 5 },
    ),

  'without keep-alive each request has a connection': () =>
    withServer(
      async (client, agent, { connections }) => {
        for (let index = 0; index < 5; index++) await client.get('/hello')
        await until(() => connections.every((socket) => socket.destroyed))
        return { connects: agent.connects }
      },
      { keepAlive: false },
    ),

  '10 MB each way by hash': () =>
    withServer(async (client) => {
      const sent = body(10 * MEGABYTE)
      const { data: there } = await client.post('/digest', sent)
      const { data: back } = await client.get('/body?megabytes=10', { responseType: 'stream' })
      const { sha: received } = await digest(back)
      return { bytes: there.bytes, there: there.sha === sha(sent), back: received === sha(sent) }
    }),

  'timeouts before the answer and in it': () =>
    withServer(
      async (client, agent, { state }) => {
        const silent = await codeOf(client.get('/silent'))
        const half = await codeOf(client.get('/half'))
        await until(() => state.aborted === 2)
        return { silent, half, answer: (await client.get('/hello')).data, connects: agent.connects }
      },
      {},
      { timeout: 60 },
    ),

  'an agent whose sockets time out': () =>
    withServer(
      async (client, agent, { connections }) => {
        await client.get('/hello')
        await until(() => connections[0].destroyed)
        return { answer: (await client.get('/hello')).data, connects: agent.connects }
      },
      { timeout: 40 },
    ),

  'a signal aborts before, in and after the headers': () =>
    withServer(async (client, agent, { state }) => {
      const codes = [await codeOf(client.get('/hello', { signal: AbortSignal.abort() }))]
      for (const path of ['/silent', '/half']) {
        const controller = new AbortController()
        const code = codeOf(client.get(path, { signal: controller.signal }))
        setTimeout(() => controller.abort(), 30)
        codes.push(await code)
      }
      await until(() => state.aborted === 2)
      return { codes, connects: agent.connects }
    }),

  'redirects are followed, and limited': () =>
    withServer(async (client) => {
      const { data, request } = await client.get('/redirect?left=4')
      const limited = await codeOf(client.get('/redirect?left=4', { maxRedirects: 2 }))
      return { data, path: request.path, limited }
    }),

  'statuses and limits are errors': () =>
    withServer(async (client) => ({
      status: await codeOf(client.get('/status?code=404')),
      large: await codeOf(client.get('/body?megabytes=1', { maxContentLength: 1_000 })),
    })),

  'the server cuts a body, resets, or is not there': () =>
    withServer(async (client, agent) => {
      const codes = []
      for (const path of ['/cut', '/reset']) codes.push(await codeOf(client.get(path)))
      codes.push(await codeOf(clientOf(`http://${host}:${await unusedPort()}`, agent).get('/')))
      return { codes }
    }),

  'the FIN of an idle connection: the next request has another': () =>
    withServer(async (client, agent, { connections }) => {
      await client.get('/hello')
      connections[0].end()
      await until(() => Object.keys(agent.freeSockets).length === 0)
      return { data: (await client.get('/hello')).data, connects: agent.connects }
    }),
}
