// undici: its own connector is over `net.connect`; connectors of the program's besides.

import net from 'node:net'

import { Agent, Client, Pool, fetch, request } from 'undici'

import { body, closed, digest, host, listening, record, sha, until } from './support/local.js'
import { event } from './support/outcomes.js'
import { MEGABYTE, unusedPort, webServer } from './support/web-server.js'

const codeOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => [error.name, error.code, error.cause?.code].filter(Boolean).join(' '),
  )

const text = async (answer) => (await answer).body.text()

export const steps = {
  'fetch keeps one connection alive': async () => {
    const { origin, connections, close } = await webServer()
    const dispatcher = new Agent({ connections: 1 })
    const texts = new Set()
    for (let index = 0; index < 100; index++) texts.add(await (await fetch(`${origin}/hello`, { dispatcher })).text())
    const alive = connections.length
    await dispatcher.close()
    return { texts: [...texts], alive, server: await close() }
  },

  '100 requests at once over 10 connections': async () => {
    const { origin, connections, close } = await webServer()
    const dispatcher = new Agent({ connections: 10 })
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => text(request(`${origin}/hello`, { dispatcher }))),
    )
    await dispatcher.close()
    return {
      right: answers.filter((answer) => answer === 'hello').length,
      connections: connections.length,
      server: await close(),
    }
  },

  'a body of 50 MB arrives': async () => {
    const { origin, close } = await webServer()
    const dispatcher = new Agent()
    const { body: stream } = await request(`${origin}/body?megabytes=50`, { dispatcher })
    const { bytes, sha: received } = await digest(stream)
    await dispatcher.close()
    return { bytes, same: received === sha(body(50 * MEGABYTE)), server: await close() }
  },

  'a body of 50 MB is sent, and comes back': async () => {
    const { origin, close } = await webServer()
    const dispatcher = new Agent()
    const sent = body(50 * MEGABYTE)
    const answer = await request(`${origin}/digest`, { dispatcher, method: 'POST', body: sent })
    const there = await answer.body.json()
    const back = await fetch(`${origin}/echo`, { dispatcher, method: 'POST', body: sent })
    const same = sha(Buffer.from(await back.arrayBuffer())) === sha(sent)
    await dispatcher.close()
    return { bytes: there.bytes, there: there.sha === sha(sent), same, server: await close() }
  },

  'pipelined requests are answered in their order': async () => {
    const { origin, connections, close } = await webServer()
    const client = new Client(origin, { pipelining: 10 })
    const order = []
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const { statusCode } = await client
          .request({ path: `/status?code=${200 + index}`, method: 'GET' })
          .then(async (answer) => {
            await answer.body.dump()
            return answer
          })
        order.push(statusCode - 200)
      }),
    )
    await client.close()
    return {
      inOrder: order.every((value, index) => value === index),
      connections: connections.length,
      server: await close(),
    }
  },

  'the timeouts of headers, body and connect': async () => {
    const { origin, close, httpServer } = await webServer()
    const dispatcher = new Agent({ headersTimeout: 50, bodyTimeout: 50 })
    const headers = await codeOf(request(`${origin}/silent`, { dispatcher }))
    const half = await codeOf(text(request(`${origin}/half`, { dispatcher })))
    await dispatcher.destroy()
    // The look-up of a name that takes too long.
    const lookup = (name, options, callback) =>
      void setTimeout(callback, 5_000, null, [{ address: host, family: 4 }]).unref()
    const slow = new Agent({ connect: { timeout: 50, lookup } })
    const connect = await codeOf(request(`http://slow.example/`, { dispatcher: slow }))
    await slow.destroy()
    httpServer.closeAllConnections()
    return { headers, half, connect, server: await close() }
  },

  'a request is aborted before, in and after its headers': async () => {
    const { origin, close, state } = await webServer()
    const dispatcher = new Agent({ connections: 1 })
    const codes = [await codeOf(request(`${origin}/hello`, { dispatcher, signal: AbortSignal.abort() }))]
    for (const path of ['/silent', '/half']) {
      const controller = new AbortController()
      const code = codeOf(text(request(`${origin}${path}`, { dispatcher, signal: controller.signal })))
      setTimeout(() => controller.abort(), 30)
      codes.push(await code)
    }
    await until(() => state.aborted === 2)
    const answer = await text(request(`${origin}/hello`, { dispatcher }))
    await dispatcher.close()
    return { codes, answer, server: await close() }
  },

  'it connects again after the FIN of the server': async () => {
    const { origin, close, connections } = await webServer()
    const client = new Client(origin)
    const log = record(client, ['connect', 'disconnect'])
    const texts = []
    for (const path of ['/hello', '/close', '/hello']) {
      texts.push(await text(client.request({ path, method: 'GET' })))
      if (path === '/close') await until(() => log.includes('disconnect'))
    }
    const gone = event(client, 'disconnect')
    connections[1].end()
    await gone
    texts.push(await text(client.request({ path: '/hello', method: 'GET' })))
    const alive = connections.length
    await client.close()
    return { texts, log, alive, server: await close() }
  },

  'an idle connection ends by the timeout of the client': async () => {
    const { origin, close, connections } = await webServer()
    const client = new Client(origin, { keepAliveMaxTimeout: 40 })
    await text(client.request({ path: '/hello', method: 'GET' }))
    await event(client, 'disconnect')
    await until(() => connections[0].destroyed)
    await client.close()
    return { connections: connections.length, server: await close() }
  },

  'the server cuts a body, resets, or is not there': async () => {
    const { origin, close } = await webServer()
    const dispatcher = new Agent()
    const codes = []
    for (const path of ['/cut', '/reset']) codes.push(await codeOf(text(request(`${origin}${path}`, { dispatcher }))))
    codes.push(await codeOf(request(`http://${host}:${await unusedPort()}`, { dispatcher })))
    codes.push(await codeOf(fetch(`http://${host}:${await unusedPort()}`, { dispatcher })))
    await dispatcher.close()
    return { codes, server: await close() }
  },

  'a connector of the program gives a socket of net': async () => {
    const { origin, port, close } = await webServer()
    let connects = 0
    const pool = new Pool(origin, {
      connections: 2,
      connect: (_, callback) => {
        connects++
        const socket = net.connect({ port, host, noDelay: true, keepAlive: true })
        socket.once('connect', () => callback(null, socket)).once('error', callback)
      },
    })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => text(pool.request({ path: '/hello', method: 'GET' }))),
    )
    await pool.close()
    return { right: answers.filter((answer) => answer === 'hello').length, connects, server: await close() }
  },

  'a slow reader is not run over': async () => {
    const { origin, close } = await webServer()
    const dispatcher = new Agent()
    const { body: slow } = await request(`${origin}/body?megabytes=20`, { dispatcher })
    let bytes = 0
    for await (const chunk of slow) {
      bytes += chunk.length
      if (bytes % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await dispatcher.close()
    return { bytes, server: await close() }
  },

  'an upgrade gives the socket': async () => {
    const { origin, close, httpServer } = await webServer()
    httpServer.on('upgrade', (_, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.pipe(socket)
    })
    const client = new Client(origin)
    const { socket } = await client.upgrade({ path: '/', protocol: 'echo' })
    const sent = body(MEGABYTE)
    const answer = digest(socket)
    socket.end(sent)
    const { sha: received } = await answer
    await client.close()
    return { same: received === sha(sent), server: await close() }
  },

  'a garbled answer is an error of the parser': async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.end('HELO\r\n\r\n'))
    })
    const port = await listening(server)
    const dispatcher = new Agent()
    const code = await codeOf(request(`http://${host}:${port}`, { dispatcher }))
    await dispatcher.close()
    return { code, server: await closed(server) }
  },
}
