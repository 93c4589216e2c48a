// got over agents of node:http, whose connections are those of `net`.

import http from 'node:http'
import net from 'node:net'
import { pipeline } from 'node:stream/promises'

import got from 'got'

import { body, digest, host, sha, until } from './support/local.js'
import { MEGABYTE, unusedPort, webServer } from './support/web-server.js'

class NetAgent extends http.Agent {
  connects = 0

  createConnection(options, callback) {
    this.connects++
    return net.connect(options, callback)
  }
}

const codeOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => `${error.name} ${error.code}`,
  )

async function withServer(use, agentOptions, options) {
  const server = await webServer()
  const agent = new NetAgent({ keepAlive: true, ...agentOptions })
  const client = got.extend({ prefixUrl: server.origin, agent: { http: agent }, retry: { limit: 0 }, ...options })
  const outcome = await use(client, agent, server)
  agent.destroy()
  return { ...outcome, server: await server.close() }
}

const soon = { retry: { limit: 3, calculateDelay: ({ computedValue }) => computedValue && 1 } }

export const steps = {
  'one connection is kept alive': () =>
    withServer(
      async (client, agent) => {
        const texts = new Set()
        for (let index = 0; index < 100; index++) texts.add(await client('hello').text())
        return { texts: [...texts], connects: agent.connects }
      },
      { maxSockets: 1 },
    ),

  '100 requests at once over 5 connections': () =>
    withServer(
      async (client, agent) => {
        const answers = await Promise.all(Array.from({ length: 100 }, () => client('hello').text()))
        return { right: answers.filter((text) => text === 'hello').length, connects: agent.connects }
      },
      { maxSockets: 5 },
    ),

  '10 MB each way, and streams both ways': () =>
    withServer(async (client) => {
      const sent = body(10 * MEGABYTE)
      const there = await client.post('digest', { body: sent }).json()
      const back = await client('body?megabytes=10').buffer()
      const echo = client.stream.post('echo')
      const answer = digest(echo)
      await pipeline([sent], echo)
      return {
        bytes: there.bytes,
        there: there.sha === sha(sent),
        back: sha(back) === sha(sent),
        echo: (await answer).sha === sha(sent),
      }
    }),

  'each of its timeouts': () =>
    withServer(async (client, agent, { state }) => {
      const codes = []
      for (const [path, ...names] of [
        ['silent', 'request', 'response', 'socket'],
        ['half', 'request', 'read'],
      ]) {
        for (const name of names) codes.push(await codeOf(client(path, { timeout: { [name]: 60 } })))
      }
      await until(() => state.aborted === 5)
      // The look-up of a name that takes too long.
      const dnsLookup = (name, options, callback) => void setTimeout(callback, 5_000, null, host, 4).unref()
      const url = 'http://slow.example/'
      codes.push(await codeOf(client(url, { prefixUrl: '', dnsLookup, timeout: { lookup: 60 } })))
      return { codes }
    }),

  'it tries again after statuses and resets': () =>
    withServer(async (client, agent, { state }) => {
      const status = await client('fail?times=2&by=status', soon).text()
      state.attempts = 0
      const reset = await client('fail?times=2&by=reset', soon).text()
      state.attempts = 0
      const limit = await codeOf(client('fail?times=9&by=reset', soon))
      return { status, reset, limit, attempts: state.attempts }
    }),

  'a signal aborts before, in and after the headers': () =>
    withServer(async (client, agent, { state }) => {
      const codes = [await codeOf(client('hello', { signal: AbortSignal.abort() }))]
      for (const path of ['silent', 'half']) {
        const controller = new AbortController()
        const code = codeOf(client(path, { signal: controller.signal }))
        setTimeout(() => controller.abort(), 30)
        codes.push(await code)
      }
      await until(() => state.aborted === 2)
      return { codes, answer: await client('hello').text() }
    }),

  'redirects are followed, and limited': () =>
    withServer(async (client) => {
      const { body: text, redirectUrls } = await client('redirect?left=4')
      const limited = await codeOf(client('redirect?left=4', { maxRedirects: 2 }))
      return { text, redirects: redirectUrls.length, limited }
    }),

  'the server cuts a body, resets, or is not there': () =>
    withServer(async (client) => {
      const codes = []
      for (const path of ['cut', 'reset', 'status?code=404']) codes.push(await codeOf(client(path)))
      codes.push(await codeOf(client(`http://${host}:${await unusedPort()}`, { prefixUrl: '' })))
      return { codes }
    }),

  'the timings of a request are all there': () =>
    withServer(async (client) => {
      const { timings, ip } = await client('hello')
      const { wait, dns, tcp, request, firstByte, download, total } = timings.phases
      return { ip, phases: [wait, dns, tcp, request, firstByte, download, total].map((value) => value >= 0) }
    }),

  'the FIN of an idle connection: the next request has another': () =>
    withServer(async (client, agent, { connections }) => {
      await client('hello')
      connections[0].end()
      await until(() => Object.keys(agent.freeSockets).length === 0)
      return { text: await client('hello').text(), connects: agent.connects }
    }),
}
