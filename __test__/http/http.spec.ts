import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import nodeNet, { type Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { testWith } from '../support/programs.js'
import { WAYS, type Way, curl, listening, portOf } from '../support/serving.js'
import { temporaryDirectory } from '../support/unix.js'
import { until } from '../support/waiting.js'

const MUCH = 100_000_000

/** 100 MB in chunks that differ. */
function* muchData(): Generator<Buffer> {
  const size = 1_000_000
  for (let at = 0; at < MUCH; at += size) yield Buffer.alloc(size, `${at} `)
}

function hashOfMuchData(): string {
  const hash = createHash('sha256')
  for (const chunk of muchData()) hash.update(chunk)
  return hash.digest('hex')
}

async function hashOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

/** Sends a request as it is written, and returns all that comes until the end. */
async function exchange(t: ExecutionContext, server: http.Server, request: string): Promise<string> {
  const socket = rawClient(t, server)
  socket.write(request)
  return text(socket)
}

function rawClient(t: ExecutionContext, server: http.Server): Socket {
  const socket = nodeNet.connect(portOf(server), '127.0.0.1')
  socket.on('error', () => {})
  t.teardown(() => void socket.destroy())
  return socket
}

const hello = (_: IncomingMessage, response: ServerResponse): void => void response.end('hello')

for (const way of Object.keys(WAYS) as Way[]) {
  testWith(['curl'], `curl_reuses_a_connection: ${way}`, async (t) => {
    const ports = new Set<unknown>()
    const server = await listening(
      t,
      way,
      http.createServer((request, response) => {
        ports.add(request.socket.remotePort)
        t.is(request.socket.remoteAddress, '127.0.0.1')
        response.end('hello ')
      }),
    )
    const url = `http://127.0.0.1:${portOf(server)}/`
    t.is(await curl(url, url, url), 'hello hello hello ')
    t.is(ports.size, 1)
  })

  testWith(['curl'], `curl_sends_100_MB_and_receives_100_MB: ${way}`, async (t) => {
    const path = join(temporaryDirectory(t), 'much')
    await pipeline(Readable.from(muchData()), createWriteStream(path))
    const expected = hashOfMuchData()
    let sent: string | undefined
    const server = await listening(
      t,
      way,
      http.createServer(async (request, response) => {
        if (request.method === 'GET') return void createReadStream(path).pipe(response)
        t.is(request.headers.expect, '100-continue')
        sent = await hashOf(request)
        response.end('taken')
      }),
    )
    const url = `http://127.0.0.1:${portOf(server)}/`
    const upload = ['--header', 'Expect: 100-continue', '--upload-file', path]
    t.is(await curl(...upload, url), 'taken')
    t.is(sent, expected)
    await curl('--output', `${path}-back`, url)
    t.is(await hashOf(createReadStream(`${path}-back`)), expected)
  })

  testWith(['wrk'], `wrk_gets_no_error: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer(hello))
    const args = ['--threads', '1', '--connections', '50', '--duration', '1s', `http://127.0.0.1:${portOf(server)}/`]
    const { stdout } = await promisify(execFile)('wrk', args)
    t.regex(stdout, /\d+ requests in/)
    t.notRegex(stdout, /Socket errors|Non-2xx/)
    await until(() => server.listening)
  })

  test(`pipelined_requests_are_answered_in_order: ${way}`, async (t) => {
    const server = await listening(
      t,
      way,
      http.createServer((request, response) => void response.end(request.url)),
    )
    const count = 100
    const requests = Array.from({ length: count }, (_, at) => {
      const close = at === count - 1 ? 'Connection: close\r\n' : ''
      return `GET /${at} HTTP/1.1\r\nHost: localhost\r\n${close}\r\n`
    })
    const answers = await exchange(t, server, requests.join(''))
    t.deepEqual(
      [...answers.matchAll(/\r\n\r\n\/(\d+)/g)].map(([, at]) => Number(at)),
      Array.from({ length: count }, (_, at) => at),
    )
  })

  test(`checkContinue_decides_on_a_body: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer())
    server.on('checkContinue', (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(417, { connection: 'close' }).end()
    })
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'
    t.regex(await exchange(t, server, head), /^HTTP\/1\.1 417 /)
  })

  for (const [event, head] of [
    ['upgrade', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'],
    ['connect', 'CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n'],
  ] as const) {
    test(`${event}_gives_the_socket_and_what_came_behind_the_head: ${way}`, async (t) => {
      const server = await listening(t, way, http.createServer())
      server.on(event, (_: IncomingMessage, socket: Socket, first: Buffer) => {
        t.is(String(first), 'first ')
        socket.write(first)
        socket.pipe(socket)
      })
      const client = rawClient(t, server)
      client.write(`${head}first `)
      t.is(String((await once(client, 'data'))[0]), 'first ')
      client.end('second')
      t.is(await text(client), 'second')
    })
  }

  test(`headersTimeout_ends_a_client_that_sends_its_head_slowly: ${way}`, async (t) => {
    const options = { connectionsCheckingInterval: 50, headersTimeout: 200, requestTimeout: 0 }
    const server = await listening(t, way, http.createServer(options, hello))
    const failed = once(server, 'clientError')
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      socket.end(`HTTP/1.1 408 ${error.code}\r\nConnection: close\r\n\r\n`)
    })
    const answer = await exchange(t, server, 'GET / HTTP/1.1\r\nHost: localhost\r\n')
    t.is(((await failed)[0] as NodeJS.ErrnoException).code, 'ERR_HTTP_REQUEST_TIMEOUT')
    t.regex(answer, /^HTTP\/1\.1 408 ERR_HTTP_REQUEST_TIMEOUT/)
  })

  test(`requestTimeout_ends_a_client_that_sends_its_body_slowly: ${way}`, async (t) => {
    const options = { connectionsCheckingInterval: 50, headersTimeout: 100, requestTimeout: 200 }
    const server = await listening(t, way, http.createServer(options))
    const head = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n'
    t.regex(await exchange(t, server, `${head}half `), /^HTTP\/1\.1 408 /)
  })

  test(`keepAliveTimeout_ends_an_idle_connection: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer({ keepAliveTimeout: 100 }, hello))
    const answer = await exchange(t, server, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    t.regex(answer, /hello/)
    t.regex(answer, /Connection: keep-alive/)
  })

  test(`the_timeout_of_a_server_and_of_a_request_is_emitted: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer())
    const events: string[] = []
    let isRequested = false
    server.setTimeout(100, (socket: Socket) => {
      // The request starts the time again.
      if (!isRequested) return
      events.push('server')
      socket.destroy()
    })
    server.on('request', (request: IncomingMessage) => {
      isRequested = true
      request.on('close', () => events.push('closed'))
    })
    rawClient(t, server).write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await until(() => events.length === 2)
    t.deepEqual(events, ['server', 'closed'])
  })

  test(`close_ends_idle_connections_and_waits_for_active_ones: ${way}`, async (t) => {
    const answers: ServerResponse[] = []
    const server = await listening(
      t,
      way,
      http.createServer((request, response) => {
        if (request.url === '/idle') response.end('idle')
        else answers.push(response)
      }),
    )
    const agent = new http.Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const options = { port: portOf(server), host: '127.0.0.1', agent }
    const [idle] = (await once(http.get({ ...options, path: '/idle' }), 'response')) as [IncomingMessage]
    t.is(await text(idle), 'idle')
    const active = http.get({ ...options, path: '/active', agent: false })
    await until(() => answers.length === 1)
    const closed = new Promise<unknown>((resolve) => void server.close(resolve))
    answers[0]!.end('active')
    const [response] = (await once(active, 'response')) as [IncomingMessage]
    t.is(await text(response), 'active')
    t.is(await closed, undefined)
  })

  test(`closeAllConnections_ends_active_connections: ${way}`, async (t) => {
    const server = await listening(
      t,
      way,
      http.createServer(() => {}),
    )
    const requested = once(server, 'request')
    const request = http.get({ port: portOf(server), host: '127.0.0.1', agent: false })
    const failed = once(request, 'error')
    await requested
    const closed = new Promise<unknown>((resolve) => void server.close(resolve))
    server.closeAllConnections()
    t.is(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
    t.is(await closed, undefined)
  })

  test(`garbage_is_a_clientError_and_answered_by_400: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer(hello))
    t.regex(await exchange(t, server, 'no HTTP at all\r\n\r\n'), /^HTTP\/1\.1 400 /)
  })

  test(`a_client_that_aborts_ends_its_request_only: ${way}`, async (t) => {
    const aborted: unknown[] = []
    const server = await listening(
      t,
      way,
      http.createServer((request, response) => {
        if (request.url === '/hello') return void response.end('hello')
        request.on('error', (error: NodeJS.ErrnoException) => aborted.push(error.code)).resume()
        response.on('close', () => aborted.push('close'))
        response.write('begin')
        return undefined
      }),
    )
    const client = rawClient(t, server)
    client.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nbegin')
    await once(client, 'data')
    client.resetAndDestroy()
    await until(() => aborted.length === 2)
    t.deepEqual([...aborted].sort(), ['ECONNRESET', 'close'])
    t.is(
      await (await fetch(`http://127.0.0.1:${portOf(server)}/hello`, { headers: { connection: 'close' } })).text(),
      'hello',
    )
  })

  test(`connections_that_close_after_their_response_leave_nothing_open: ${way}`, async (t) => {
    const server = await listening(t, way, http.createServer(hello))
    const answers = await Promise.all(Array.from({ length: 100 }, () => exchange(t, server, 'GET / HTTP/1.0\r\n\r\n')))
    t.true(answers.every((answer) => answer.endsWith('hello')))
    await new Promise((resolve) => void server.close(resolve))
    t.pass()
  })
}
