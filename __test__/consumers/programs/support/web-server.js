// The HTTP server that the clients of HTTP ask: a server of node:http, fed by `net`.

import http from 'node:http'

import { body, closedWith, digest, feeding, listening } from './local.js'

export const MEGABYTE = 2 ** 20

const answers = {
  '/hello': (request, response) => response.end('hello'),
  '/port': (request, response) => response.end(String(request.socket.remotePort)),
  '/close': (request, response) => response.writeHead(200, { connection: 'close' }).end('closing'),
  '/status': (request, response, query) => response.writeHead(Number(query.get('code'))).end('status'),
  '/redirect': (request, response, query) => {
    const left = Number(query.get('left'))
    const location = left > 1 ? `/redirect?left=${left - 1}` : '/hello'
    response.writeHead(302, { location }).end()
  },
  '/body': (request, response, query) => {
    const bytes = body(Number(query.get('megabytes')) * MEGABYTE)
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
  },
  '/echo': (request, response) => request.pipe(response),
  '/digest': async (request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(await digest(request).catch((error) => ({ error: error.code }))))
  },
  // No answer at all, half of the headers' end, half of a body, an end in the middle of it.
  '/silent': () => {},
  '/half': (request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('half')
  },
  '/cut': (request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('half', () => request.socket.destroy())
  },
  '/reset': (request) => request.socket.resetAndDestroy(),
  // Fails as often as `times` says, with a reset or a status, and then answers with the number of attempts.
  '/fail': (request, response, query, state) => {
    const attempts = (state.attempts = (state.attempts ?? 0) + 1)
    if (attempts > Number(query.get('times'))) response.end(`attempt ${attempts}`)
    else if (query.get('by') === 'reset') request.socket.resetAndDestroy()
    else response.writeHead(503).end()
  },
}

/** @returns the server's `origin`, the `connections` that it has had, the `state` of its answers, and `close()` */
export async function webServer(options = {}) {
  const state = { aborted: 0 }
  const httpServer = http.createServer(options, (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    response.on('close', () => {
      if (!response.writableFinished) state.aborted++
    })
    request.on('error', () => {})
    answers[pathname](request, response, searchParams, state)
  })
  const connections = []
  const server = feeding(httpServer).on('connection', (socket) => connections.push(socket))
  const port = await listening(server)
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    httpServer,
    server,
    state,
    connections,
    close: () => closedWith(httpServer, server),
  }
}

/** The port of a server that was there. */
export async function unusedPort() {
  const { port, close } = await webServer()
  await close()
  return port
}
