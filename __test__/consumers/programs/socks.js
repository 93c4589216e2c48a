// socks: a client of a small SOCKS5 server over `net`, and HTTP through it.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import { SocksClient } from 'socks'

import { body, closed, digest, host, listening, sha } from './support/local.js'
import { unusedPort, webServer } from './support/web-server.js'

/** Reads exactly `count` bytes of a socket that is paused. */
async function read(socket, count) {
  for (;;) {
    const bytes = socket.read(count)
    if (bytes) return bytes
    await once(socket, 'readable')
  }
}

async function authenticated(socket, password) {
  const [, count] = await read(socket, 2)
  const methods = await read(socket, count)
  const method = password ? 2 : 0
  socket.write(Buffer.from([5, methods.includes(method) ? method : 0xff]))
  if (!password) return true
  const [, userLength] = await read(socket, 2)
  await read(socket, userLength)
  const [length] = await read(socket, 1)
  const right = String(await read(socket, length)) === password
  socket.write(Buffer.from([1, right ? 0 : 1]))
  return right
}

async function destination(socket) {
  const [, , , type] = await read(socket, 4)
  const address =
    type === 1 ? [...(await read(socket, 4))].join('.') : String(await read(socket, (await read(socket, 1))[0]))
  return { address, port: (await read(socket, 2)).readUInt16BE() }
}

/** A SOCKS5 proxy: only CONNECT; names are all those of the loopback. */
async function proxyServer({ password, silent } = {}) {
  const asked = []
  const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
    socket.on('error', () => {})
    if (silent) return void socket.resume().on('end', () => socket.end())
    if (!(await authenticated(socket, password).catch(() => false))) return socket.end()
    const { address, port } = await destination(socket)
    asked.push(address)
    const far = net.connect({ port, host, allowHalfOpen: true })
    const reply = (code) => socket.write(Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 0]))
    far.on('error', () => {
      reply(5)
      socket.end()
    })
    far.on('connect', () => {
      reply(0)
      socket.pipe(far).pipe(socket)
    })
    socket.on('close', () => far.destroy())
  })
  return { server, asked, proxy: { host, port: await listening(server), type: 5 } }
}

const connect = (proxy, port, options) =>
  SocksClient.createConnection({ proxy, command: 'connect', destination: { host, port }, ...options })

const messageOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => error.message,
  )

export const steps = {
  '20 MB go both ways through the proxy': async () => {
    const { server, asked, proxy } = await proxyServer()
    const echo = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
    const { socket } = await connect(proxy, await listening(echo))
    const sent = body(20 * 2 ** 20)
    const answer = digest(socket)
    socket.write(sent)
    socket.end()
    const { bytes, sha: received } = await answer
    return { bytes, same: received === sha(sent), asked, proxy: await closed(server), echo: await closed(echo) }
  },

  'HTTP through the proxy, kept alive by an agent': async () => {
    const { server, asked, proxy } = await proxyServer()
    const web = await webServer()
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = (options, callback) => {
      connect(proxy, web.port, { destination: { host: 'web.example', port: web.port } }).then(
        ({ socket }) => callback(null, socket),
        callback,
      )
    }
    const texts = new Set()
    for (let index = 0; index < 20; index++) {
      const request = http.get({ host: 'web.example', port: web.port, path: '/hello', agent })
      const [response] = await once(request, 'response')
      texts.add(Buffer.concat(await response.toArray()).toString())
    }
    agent.destroy()
    return { texts: [...texts], asked, proxy: await closed(server), web: await web.close() }
  },

  'a user with a password, right and wrong': async () => {
    const { server, proxy } = await proxyServer({ password: 'secret' })
    const web = await webServer()
    const user = { ...proxy, userId: 'user' }
    const { socket } = await connect({ ...user, password: 'secret' }, web.port)
    socket.end('GET /close HTTP/1.1\r\nHost: x\r\n\r\n')
    const answer = Buffer.concat(await socket.toArray()).toString()
    const wrong = await messageOf(connect({ ...user, password: 'wrong' }, web.port))
    const status = answer.split('\r\n')[0]
    return { status, wrong, proxy: await closed(server), web: await web.close() }
  },

  'a destination that is refused': async () => {
    const { server, proxy } = await proxyServer()
    return { message: await messageOf(connect(proxy, await unusedPort())), proxy: await closed(server) }
  },

  'a proxy that is silent, closed at once, or not there': async () => {
    const quiet = await proxyServer({ silent: true })
    const silent = await messageOf(connect(quiet.proxy, 1, { timeout: 60 }))
    await closed(quiet.server)
    const closing = net.createServer((socket) => socket.on('error', () => {}).destroy())
    const proxy = { host, port: await listening(closing), type: 5 }
    const cut = await messageOf(connect(proxy, 1))
    await closed(closing)
    const refused = (await messageOf(connect(proxy, 1))).replace(/:\d+$/, '')
    return { silent, cut, refused }
  },

  'over a socket that the program connects, and through two proxies': async () => {
    const first = await proxyServer()
    const second = await proxyServer()
    const web = await webServer()
    const existing = net.connect(first.proxy.port, host)
    const { socket } = await connect(first.proxy, web.port, { existing_socket: existing })
    socket.end('GET /close HTTP/1.1\r\nHost: x\r\n\r\n')
    const same = socket === existing
    const status = String((await socket.toArray())[0]).split('\r\n')[0]
    const chain = await SocksClient.createConnectionChain({
      proxies: [first.proxy, second.proxy],
      command: 'connect',
      destination: { host, port: web.port },
      randomizeChain: false,
    })
    chain.socket.end('GET /close HTTP/1.1\r\nHost: x\r\n\r\n')
    const chained = String((await chain.socket.toArray())[0]).split('\r\n')[0]
    return {
      same,
      status,
      chained,
      asked: [first.asked.length, second.asked.length],
      ends: [await closed(first.server), await closed(second.server), await web.close()],
    }
  },
}
