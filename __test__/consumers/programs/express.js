// express: a server of node:http that is fed by `net`, asked over sockets of `net`.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import express from 'express'

import { body, closed, closedWith, digest, feeding, host, listening, sha, until } from './support/local.js'
import { event } from './support/outcomes.js'
import { agentOf, ask } from './support/web-client.js'

async function fedServer(define, settings = {}, options = {}) {
  const app = express()
  for (const [name, value] of Object.entries(settings)) app.set(name, value)
  define(app)
  const httpServer = http.createServer(options, app)
  const server = feeding(httpServer)
  const connections = []
  server.on('connection', (socket) => connections.push(socket))
  const port = await listening(server)
  return { server, connections, port, close: () => closedWith(httpServer, server) }
}

const addresses = (app) =>
  app.get('/ip', (request, response) =>
    response.json({ ip: request.ip, ips: request.ips, secure: request.secure, host: request.hostname }),
  )

const forwarded = { 'x-forwarded-for': '10.1.2.3, 10.4.5.6', 'x-forwarded-proto': 'https', host: 'app.example' }

export const steps = {
  'req.ip is the address of the peer': async () => {
    const { port, close } = await fedServer(addresses)
    const plain = await ask(port, { path: '/ip', headers: forwarded })
    return { plain: JSON.parse(plain.text), server: await close() }
  },

  'with trust proxy, req.ip is the forwarded one': async () => {
    const answers = []
    for (const trust of [true, 1, 'loopback', '10.0.0.0/8']) {
      const { port, close } = await fedServer(addresses, { 'trust proxy': trust })
      answers.push(JSON.parse((await ask(port, { path: '/ip', headers: forwarded })).text))
      await close()
    }
    return answers
  },

  'req.ip over IPv6 and over a dual-stack listener': async () => {
    const { server, close } = await fedServer(addresses)
    await closed(server)
    const port = await listening(server, { port: 0, host: '::' })
    const answers = []
    for (const address of ['::1', '127.0.0.1']) {
      answers.push(JSON.parse((await ask(port, { path: '/ip', host: address })).text).ip)
    }
    return { answers, server: await close() }
  },

  'one connection is kept alive': async () => {
    const { connections, port, close } = await fedServer((app) =>
      app.get('/:name', (request, response) => response.send(`hello ${request.params.name}`)),
    )
    const agent = agentOf({ maxSockets: 1 })
    const texts = new Set()
    for (let index = 0; index < 100; index++) texts.add((await ask(port, { path: '/you', agent })).text)
    const alive = connections.length
    const end = await close()
    agent.destroy()
    return { texts: [...texts], alive, server: end }
  },

  'an upload of 10 MB by hash, and a parser that refuses it': async () => {
    const { port, close } = await fedServer((app) => {
      app.post('/digest', async (request, response) => response.json(await digest(request)))
      app.post('/json', express.json({ limit: '1mb' }), (request, response) => response.json(request.body.length))
      app.use((error, request, response, _next) => response.status(error.status).send(error.type))
    })
    const sent = body(10 * 2 ** 20)
    const uploaded = JSON.parse((await ask(port, { path: '/digest', method: 'POST' }, sent)).text)
    const headers = { 'content-type': 'application/json' }
    const small = await ask(port, { path: '/json', method: 'POST', headers }, JSON.stringify([1, 2, 3]))
    const large = await ask(port, { path: '/json', method: 'POST', headers }, JSON.stringify('x'.repeat(2 ** 21)))
    return {
      bytes: uploaded.bytes,
      same: uploaded.sha === sha(sent),
      small: small.text,
      large: `${large.status} ${large.text}`,
      server: await close(),
    }
  },

  'the requests that their clients abort': async () => {
    const log = []
    const { port, close } = await fedServer((app) => {
      app.use((request, response) => {
        request.on('aborted', () => log.push(`${request.path} aborted`))
        request.on('error', (error) => log.push(`${request.path} ${error.code}`))
        response.on('close', () => log.push(`${request.path} close, written: ${response.writableFinished}`))
        if (request.path === '/half') response.write('half')
      })
    })
    for (const path of ['/silent', '/half']) {
      const request = http.get({ port, host, path, createConnection: net.connect })
      request.on('error', () => {})
      if (path === '/half') await once(request, 'response')
      else await until(() => request.socket && !request.socket.connecting)
      const seen = log.length
      if (path === '/silent') await new Promise((resolve) => setTimeout(resolve, 30))
      request.destroy()
      await until(() => log.length >= seen + 3)
    }
    return { log, server: await close() }
  },

  'server.close waits for the request under way': async () => {
    let answer
    const { port, close } = await fedServer((app) =>
      app.get('/slow', (request, response) => (answer = () => response.send('at last'))),
    )
    const agent = agentOf()
    const log = []
    const asked = ask(port, { path: '/slow', agent })
    await until(() => answer)
    const over = close().then((end) => log.push(end))
    answer()
    const { text, headers } = await asked
    log.push(`${text} ${headers.connection}`)
    agent.destroy()
    await over
    return log
  },

  'an idle connection is closed by keepAliveTimeout, a slow one by headersTimeout': async () => {
    const options = { keepAliveTimeout: 50, headersTimeout: 60, connectionsCheckingInterval: 20 }
    const { port, close } = await fedServer((app) => app.get('/', (_, response) => response.send('hi')), {}, options)
    const idle = net.connect(port, host)
    const idleChunks = idle.toArray()
    idle.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const slow = net.connect(port, host)
    const slowChunks = slow.toArray()
    slow.write('GET / HTTP/1.1\r\nHost')
    const statuses = [await idleChunks, await slowChunks].map((chunks) => String(chunks[0]).split('\r\n')[0])
    return { statuses, server: await close() }
  },

  'Expect, pipelining and garbage': async () => {
    const { port, close } = await fedServer((app) => {
      app.post('/', async (request, response) => response.send(String((await digest(request)).bytes)))
      app.get('/:name', (request, response) => response.send(request.params.name))
    })
    const request = http.request({
      port,
      host,
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': 5 },
      createConnection: net.connect,
    })
    request.flushHeaders()
    await event(request, 'continue')
    request.end('12345')
    const [response] = await once(request, 'response')
    const expected = Buffer.concat(await response.toArray()).toString()
    const pipelined = net.connect(port, host)
    pipelined.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20))
    pipelined.write('GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    const answers = Buffer.concat(await pipelined.toArray())
      .toString()
      .match(/HTTP\/1.1 200/g).length
    const garbage = net.connect(port, host)
    garbage.write('\x16\x03\x01garbage\r\n\r\n')
    const refused = Buffer.concat(await garbage.toArray())
      .toString()
      .split('\r\n')[0]
    return { expected, answers, refused, server: await close() }
  },
}
