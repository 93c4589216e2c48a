// ws: a server that is fed by `net`, and clients over `net.connect`.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import WebSocket, { WebSocketServer } from 'ws'

import { body, closed, feeding, host, listening, sha, until } from './support/local.js'
import { ending, event } from './support/outcomes.js'

async function fedServer(options = {}, onConnection = echo) {
  const httpServer = http.createServer((request, response) => {
    response.writeHead(426)
    response.end()
  })
  const server = feeding(httpServer)
  const sockets = new WebSocketServer({ server: httpServer, ...options })
  sockets.on('connection', onConnection)
  const port = await listening(server)
  const close = async () => {
    sockets.close()
    return closed(server)
  }
  return { sockets, port, close }
}

function echo(socket) {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

const open = async (port, options) => {
  const socket = new WebSocket(`ws://${host}:${port}/path`, options)
  await once(socket, 'open')
  return socket
}

const ended = async (socket) => {
  const [code, reason] = await event(socket, 'close')
  return `${code} ${reason}`
}

const close = (socket, ...values) => {
  const over = ended(socket)
  socket.close(...values)
  return over
}

export const steps = {
  'texts and bytes come back': async () => {
    const { port, close: end } = await fedServer()
    const socket = await open(port)
    const messages = []
    socket.on('message', (data, isBinary) => messages.push(isBinary ? data.length : String(data)))
    socket.send('text ü')
    socket.send(Buffer.alloc(70_000))
    socket.send('')
    await until(() => messages.length === 3)
    return { messages, closed: await close(socket, 1000, 'done'), server: await end() }
  },

  '1 MB messages go both ways by hash': async () => {
    const { port, close: end } = await fedServer()
    const socket = await open(port)
    const sent = body(2 ** 20)
    const hash = sha(sent)
    let same = 0
    socket.on('message', (data) => {
      if (sha(data) === hash) same++
    })
    for (let index = 0; index < 20; index++) socket.send(sent)
    const bytes = socket.bufferedAmount > 0
    await until(() => same === 20)
    return { bytes, same, left: socket.bufferedAmount, closed: await close(socket), server: await end() }
  },

  '1,000 clients at once': async () => {
    const { sockets, port, close: end } = await fedServer()
    const clients = await Promise.all(Array.from({ length: 1_000 }, () => open(port)))
    const answers = await Promise.all(
      clients.map(async (socket, index) => {
        socket.send(`client ${index}`)
        return String((await once(socket, 'message'))[0])
      }),
    )
    const count = sockets.clients.size
    const received = clients.map((socket) => once(socket, 'message'))
    for (const socket of sockets.clients) socket.send('to all')
    await Promise.all(received)
    const codes = new Set(await Promise.all(clients.map((socket) => close(socket, 1001))))
    return {
      count,
      right: answers.filter((text, index) => text === `client ${index}`).length,
      codes: [...codes],
      server: await end(),
    }
  },

  'a deflated message arrives': async () => {
    const { port, close: end } = await fedServer({ perMessageDeflate: true })
    const socket = await open(port, { perMessageDeflate: true })
    const sent = body(2 ** 20).toString('hex')
    socket.send(sent)
    const [data] = await once(socket, 'message')
    const { extensions } = socket
    return { extensions, same: String(data) === sent, closed: await close(socket), server: await end() }
  },

  'the close codes of both ends': async () => {
    const seen = []
    const { port, close: end } = await fedServer({}, (socket, request) => {
      socket.on('close', (code, reason) => seen.push(`${code} ${reason}`))
      if (request.headers['x-close']) socket.close(Number(request.headers['x-close']), 'server')
    })
    const byServer = await open(port, { headers: { 'x-close': '4000' } })
    const codes = [await ended(byServer)]
    codes.push(await close(await open(port), 4001, 'client'))
    codes.push(await close(await open(port)))
    await until(() => seen.length === 3)
    return { codes, seen, server: await end() }
  },

  'terminate at either end is 1006 at the other': async () => {
    const seen = []
    const accepted = []
    const { port, close: end } = await fedServer({}, (socket) => {
      socket.on('error', (error) => seen.push(error.code))
      socket.on('close', (code) => seen.push(code))
      accepted.push(socket)
    })
    const first = await open(port)
    await until(() => accepted.length === 1)
    first.terminate()
    await until(() => seen.length === 1)
    const second = await open(port)
    await until(() => accepted.length === 2)
    const over = ended(second)
    accepted[1].terminate()
    return { over: await over, seen, server: await end() }
  },

  'pings are answered, and a silent client is found': async () => {
    const { port, close: end } = await fedServer({}, (socket) => {
      socket.on('error', () => {})
      socket.ping('anyone?')
      socket.on('pong', (data) => socket.send(`pong ${data}`))
    })
    const socket = new WebSocket(`ws://${host}:${port}`)
    const pinged = once(socket, 'ping')
    const answered = once(socket, 'message')
    const [ping] = await pinged
    const [message] = await answered
    socket.ping('and you?')
    const [pong] = await once(socket, 'pong')
    const closing = await close(socket)
    return { texts: [ping, message, pong].map(String), closing, server: await end() }
  },

  'what is too large closes with 1009': async () => {
    const errors = []
    const { port, close: end } = await fedServer({ maxPayload: 1_000 }, (socket) =>
      socket.on('error', (error) => errors.push(error.code)),
    )
    const socket = await open(port)
    const over = ended(socket)
    socket.send(Buffer.alloc(2_000))
    return { over: await over, errors, server: await end() }
  },

  'garbage on an open stream closes with 1002': async () => {
    const errors = []
    const { port, close: end } = await fedServer({}, (socket) => socket.on('error', (error) => errors.push(error.code)))
    const socket = await open(port)
    const over = ended(socket)
    socket._socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    return { over: await over, errors, server: await end() }
  },

  'a handshake that is refused, late, or not answered at all': async () => {
    const { sockets, port, close: end } = await fedServer({ verifyClient: (info, done) => done(false, 401, 'no') })
    const refused = await event(new WebSocket(`ws://${host}:${port}`), 'error')
    sockets.removeAllListeners()
    const silent = net.createServer((socket) => {
      socket.on('error', () => {}).resume()
    })
    const silentPort = await listening(silent)
    const late = await event(new WebSocket(`ws://${host}:${silentPort}`, { handshakeTimeout: 50 }), 'error')
    const silentEnd = await closed(silent)
    const nothing = new WebSocket(`ws://${host}:${silentPort}`)
    const code = await ending(once(nothing, 'open'))
    return { refused: refused[0].message, late: late[0].message, code, silentEnd, server: await end() }
  },

  'the addresses of a client are known, and back-pressure pauses it': async () => {
    const addresses = []
    let received = 0
    let slow
    const { port, close: end } = await fedServer({}, (socket, request) => {
      addresses.push(request.socket.remoteAddress, socket._socket.localAddress)
      slow = socket
      socket.pause()
      socket.on('message', () => received++)
    })
    const socket = await open(port)
    for (let index = 0; index < 16; index++) socket.send(Buffer.alloc(2 ** 20))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const waits = [received, socket.bufferedAmount > 0, slow.isPaused]
    slow.resume()
    await until(() => received === 16)
    return { addresses, waits, closed: await close(socket), server: await end() }
  },
}
