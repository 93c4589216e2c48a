// fastify: its server is one of node:http, by `serverFactory`, which is fed by `net`.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import fastify from 'fastify'

import { body, closedWith, digest, feeding, host, listening, sha, until } from './support/local.js'
import { agentOf, ask } from './support/web-client.js'

async function fedServer(define, options = {}) {
  let httpServer
  const app = fastify({
    ...options,
    serverFactory: (handler) => (httpServer = http.createServer(handler)),
  })
  app.addContentTypeParser('application/octet-stream', (request, payload, done) => done(null, payload))
  await define(app)
  await app.ready()
  const server = feeding(httpServer)
  const connections = []
  server.on('connection', (socket) => connections.push(socket))
  const close = async () => {
    const over = closedWith(httpServer, server)
    await app.close()
    return over
  }
  return { httpServer, connections, close, port: await listening(server) }
}

const addresses = (app) =>
  app.get('/ip', (request) => ({
    ip: request.ip,
    ips: request.ips,
    protocol: request.protocol,
    host: request.hostname,
  }))

const forwarded = { 'x-forwarded-for': '10.1.2.3, 10.4.5.6', 'x-forwarded-proto': 'https', host: 'app.example' }

export const steps = {
  'req.ip is the address of the peer': async () => {
    const { port, close } = await fedServer(addresses)
    const { text } = await ask(port, { path: '/ip', headers: forwarded })
    return { answer: JSON.parse(text), server: await close() }
  },

  'with trustProxy, req.ip is the forwarded one': async () => {
    const answers = []
    for (const trustProxy of [true, 1, '127.0.0.1', '10.4.5.6']) {
      const { port, close } = await fedServer(addresses, { trustProxy })
      answers.push(JSON.parse((await ask(port, { path: '/ip', headers: forwarded })).text))
      await close()
    }
    return answers
  },

  '100 requests over one connection, and 100 at once over 10': async () => {
    const { connections, port, close } = await fedServer((app) => app.get('/:name', ({ params }) => params))
    const texts = new Set()
    const one = agentOf({ maxSockets: 1 })
    for (let index = 0; index < 100; index++) texts.add((await ask(port, { path: '/you', agent: one })).text)
    const first = connections.length
    const ten = agentOf({ maxSockets: 10 })
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(port, { path: '/you', agent: ten })))
    for (const { text } of answers) texts.add(text)
    const second = connections.length - first
    const server = await close()
    one.destroy()
    ten.destroy()
    return { texts: [...texts], first, second, server }
  },

  'an upload of 10 MB by hash, and a limit that refuses it': async () => {
    const { port, close } = await fedServer((app) => {
      app.post('/digest', { bodyLimit: 2 ** 30 }, ({ body: payload }) => digest(payload))
      app.post('/json', { bodyLimit: 1_000 }, ({ body: value }) => value.length)
    })
    const sent = body(10 * 2 ** 20)
    const bytes = { 'content-type': 'application/octet-stream' }
    const uploaded = JSON.parse((await ask(port, { path: '/digest', method: 'POST', headers: bytes }, sent)).text)
    const headers = { 'content-type': 'application/json' }
    const large = await ask(port, { path: '/json', method: 'POST', headers }, JSON.stringify('x'.repeat(5_000)))
    return {
      bytes: uploaded.bytes,
      same: uploaded.sha === sha(sent),
      large: `${large.status} ${JSON.parse(large.text).code}`,
      server: await close(),
    }
  },

  'a stream of 10 MB is sent': async () => {
    const sent = body(10 * 2 ** 20)
    const { port, close } = await fedServer((app) =>
      app.get('/stream', (request, reply) => {
        async function* chunks() {
          for (let at = 0; at < sent.length; at += 100_000) yield sent.subarray(at, at + 100_000)
        }
        return reply.send(ReadableStream.from(chunks()))
      }),
    )
    const request = http.get({ port, host, path: '/stream', agent: false, createConnection: net.connect })
    const [response] = await once(request, 'response')
    const { bytes, sha: received } = await digest(response)
    return { bytes, same: received === sha(sent), server: await close() }
  },

  'a request that its client aborts': async () => {
    const log = []
    const { port, close } = await fedServer((app) => {
      app.addHook('onRequestAbort', async (request) => void log.push(`${request.url} aborted`))
      app.get('/silent', async (request) => {
        log.push('asked')
        await once(request.raw.socket, 'close')
        log.push(`closed: ${request.raw.socket.destroyed}`)
        return 'late'
      })
    })
    const request = http.get({ port, host, path: '/silent', agent: false, createConnection: net.connect })
    request.on('error', (error) => log.push(error.code))
    await until(() => log.includes('asked'))
    request.destroy()
    await until(() => log.length === 4)
    return { log: log.sort(), server: await close() }
  },

  'close settles while a client keeps its connection': async () => {
    let answer
    const { port, close } = await fedServer((instance) =>
      instance.get('/slow', () => new Promise((resolve) => (answer = resolve))),
    )
    const agent = agentOf()
    const log = []
    const asked = ask(port, { path: '/slow', agent }).then(({ text, headers }) =>
      log.push(`${text} ${headers.connection}`),
    )
    await until(() => answer)
    const over = close().then((end) => log.push(end))
    answer('at last')
    await asked
    agent.destroy()
    await over
    return log
  },

  'setTimeout ends a silent connection': async () => {
    const { httpServer, port, close } = await fedServer((app) => app.get('/', () => 'hi'))
    httpServer.setTimeout(50)
    const silent = net.connect(port, host)
    const bytes = await digest(silent)
    return { bytes: bytes.bytes, server: await close() }
  },

  'garbage is answered with 400': async () => {
    const { port, close } = await fedServer((app) => app.get('/', () => 'hi'))
    const garbage = net.connect(port, host)
    garbage.write('\x16\x03\x01garbage\r\n\r\n')
    const status = Buffer.concat(await garbage.toArray())
      .toString()
      .split('\r\n')[0]
    return { status, server: await close() }
  },
}
