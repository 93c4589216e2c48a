// node:http2 over plain sockets of `net`: the client by `createConnection`, the server fed with connections.

import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'

import { body, closed, digest, host, listening, record, sha, until } from './support/local.js'
import { ending, event } from './support/outcomes.js'

async function fedServer(onStream, options = {}) {
  const h2 = http2.createServer(options)
  const sessions = []
  h2.on('session', (session) => sessions.push(session))
  h2.on('stream', onStream)
  const server = net.createServer((socket) => h2.emit('connection', socket))
  return { h2, server, sessions, port: await listening(server) }
}

function client(port, options) {
  const session = http2.connect(`http://${host}:${port}`, {
    createConnection: () => net.connect(port, host),
    ...options,
  })
  session.on('error', () => {})
  return session
}

async function request(session, headers, sent) {
  const stream = session.request(headers)
  const response = event(stream, 'response')
  const answer = digest(stream)
  stream.end(sent)
  const { bytes, sha: received } = await answer
  const [{ ':status': status }] = await response
  return { status, bytes, sha: received }
}

async function closeBoth(session, server) {
  session.close()
  if (!session.destroyed) await event(session, 'close')
  return closed(server)
}

const echo = (stream) => {
  stream.respond({ ':status': 200 })
  stream.pipe(stream)
}

export const steps = {
  '100 streams at once': async () => {
    const { server, port } = await fedServer((stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(`${headers[':path']} `.repeat(1_000))
    })
    const session = client(port)
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => request(session, { ':path': `/${index}` })),
    )
    return {
      right: answers.filter(({ sha: received }, index) => received === sha(`/${index} `.repeat(1_000))).length,
      server: await closeBoth(session, server),
    }
  },

  '50 MB go both ways by hash': async () => {
    const { server, port } = await fedServer(echo, { maxSessionMemory: 200 })
    const session = client(port, { maxSessionMemory: 200 })
    const sent = body(50 * 2 ** 20)
    const { status, bytes, sha: received } = await request(session, { ':path': '/', ':method': 'POST' }, sent)
    return { status, bytes, same: received === sha(sent), server: await closeBoth(session, server) }
  },

  '10 bodies of 5 MB at once': async () => {
    const { server, port } = await fedServer(echo, { maxSessionMemory: 200 })
    const session = client(port, { maxSessionMemory: 200 })
    const sent = body(5 * 2 ** 20)
    const headers = { ':path': '/', ':method': 'POST' }
    const answers = await Promise.all(Array.from({ length: 10 }, () => request(session, headers, sent)))
    return {
      same: answers.filter(({ sha: received }) => received === sha(sent)).length,
      server: await closeBoth(session, server),
    }
  },

  'settings and pings are answered': async () => {
    const { server, port, sessions } = await fedServer(echo, { settings: { maxConcurrentStreams: 7 } })
    const session = client(port, { settings: { initialWindowSize: 100_000 } })
    await once(session, 'remoteSettings')
    const { maxConcurrentStreams } = session.remoteSettings
    await until(() => sessions[0]?.remoteSettings?.initialWindowSize === 100_000)
    const ping = await new Promise((resolve) =>
      session.ping(Buffer.from('12345678'), (error, _, payload) => resolve(error?.code ?? String(payload))),
    )
    const acknowledged = new Promise((resolve) => session.settings({ enablePush: false }, (error) => resolve(!error)))
    return {
      maxConcurrentStreams,
      ping,
      acknowledged: await acknowledged,
      server: await closeBoth(session, server),
    }
  },

  'GOAWAY lets the open stream end': async () => {
    const { server, port, sessions } = await fedServer((stream) => {
      stream.respond({ ':status': 200 })
      stream.write('first ')
      sessions[0].close()
      setTimeout(() => stream.end('last'), 20)
    })
    const session = client(port)
    const log = record(session, ['close'])
    const { status, bytes } = await request(session, { ':path': '/' })
    const late = await ending(request(session, { ':path': '/' }))
    await until(() => log.includes('close'))
    return { status, bytes, log, late, server: await closed(server) }
  },

  'GOAWAY with an error ends the session': async () => {
    const { server, port, sessions } = await fedServer((stream) => {
      stream.on('error', () => {})
      sessions[0].goaway(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM)
    })
    const session = client(port)
    const goaway = event(session, 'goaway')
    const code = await ending(request(session, { ':path': '/' }))
    const [reason] = await goaway
    await until(() => session.destroyed)
    sessions[0].destroy()
    return { code, reason, server: await closed(server) }
  },

  'a cancelled stream leaves the others': async () => {
    const { server, port } = await fedServer((stream, headers) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200 })
      if (headers[':path'] === '/slow') stream.write('a')
      else stream.end('done')
    })
    const session = client(port)
    const slow = session.request({ ':path': '/slow' })
    await once(slow, 'data')
    const gone = once(slow, 'close')
    slow.close(http2.constants.NGHTTP2_CANCEL)
    await gone
    const { status, bytes } = await request(session, { ':path': '/' })
    return { rstCode: slow.rstCode, status, bytes, server: await closeBoth(session, server) }
  },

  'a session times out': async () => {
    const { server, port } = await fedServer((stream) => stream.on('error', () => {}))
    const session = client(port)
    session.setTimeout(50)
    const stream = session.request({ ':path': '/' })
    stream.on('error', () => {})
    await once(session, 'timeout')
    session.destroy()
    return { destroyed: session.destroyed, server: await closed(server) }
  },

  'the socket beneath is reset': async () => {
    const sockets = []
    const { server, port } = await fedServer((stream) => {
      stream.on('error', () => {})
      sockets[0].resetAndDestroy()
    })
    server.on('connection', (socket) => sockets.push(socket))
    const session = client(port)
    const ended = event(session, 'close')
    const code = await ending(request(session, { ':path': '/' }))
    await ended
    return { code, server: await closed(server) }
  },

  'a server that is not there': async () => {
    const server = net.createServer()
    const port = await listening(server)
    await closed(server)
    const session = client(port)
    return { code: await ending(once(session, 'connect')) }
  },

  'the compatible requests know the addresses': async () => {
    const h2 = http2.createServer((request, response) => {
      response.setHeader('x-alpn', String(request.socket.alpnProtocol))
      response.end(`${request.socket.remoteAddress} ${request.httpVersion}`)
    })
    const server = net.createServer((socket) => h2.emit('connection', socket))
    const session = client(await listening(server))
    const stream = session.request({ ':path': '/' })
    const [headers] = await once(stream, 'response')
    const text = Buffer.concat(await stream.toArray()).toString()
    return { alpn: headers['x-alpn'], text, server: await closeBoth(session, server) }
  },
}
