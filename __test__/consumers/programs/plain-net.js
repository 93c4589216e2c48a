// Programs on bare `net`: line framing, proxies, a pool that reconnects, and the events of a socket's life.

import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'

import { body, closed, digest, host, listening, record, sha, until } from './support/local.js'
import { ending } from './support/outcomes.js'

/** Calls `onLine` for each line of a stream. */
function lines(stream, onLine) {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()
    for (const line of parts) onLine(line)
  })
}

const lineServer = () =>
  net.createServer((socket) => {
    socket.on('error', () => {})
    lines(socket, (line) => socket.write(`${line.toUpperCase()}\n`))
  })

function lineClient(port, count) {
  return new Promise((resolve, reject) => {
    const answers = []
    const socket = net.connect(port, host)
    socket.on('error', reject)
    lines(socket, (line) => {
      answers.push(line)
      if (answers.length === count) socket.end()
    })
    for (let index = 0; index < count; index++) socket.write(`line ${index} ü\n`)
    socket.on('close', (hadError) => resolve({ answers, hadError }))
  })
}

const echoServer = () => net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))

/** A proxy to `port`; `join` joins two sockets. */
const proxyServer = (port, joinSockets) =>
  net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port, host, allowHalfOpen: true })
    joinSockets(near, far)
  })

async function throughProxy(joinSockets) {
  const echo = echoServer()
  const proxy = proxyServer(await listening(echo), joinSockets)
  const port = await listening(proxy)
  const sent = body(100 * 2 ** 20)
  const client = net.connect({ port, host, allowHalfOpen: true })
  const answer = digest(client)
  client.end(sent)
  const received = await answer
  await once(client, 'close')
  return {
    bytes: received.bytes,
    same: received.sha === sha(sent),
    written: client.bytesWritten,
    read: client.bytesRead,
    proxy: await closed(proxy),
    echo: await closed(echo),
  }
}

/** A socket of a pool: it connects again when the server has ended it. */
class PoolMember {
  connects = 0
  waiting = []

  constructor(port) {
    this.socket = new net.Socket()
    this.socket.on('connect', () => this.connects++)
    lines(this.socket, (line) => this.waiting.shift()(line))
    this.connect = () => this.socket.connect({ port, host })
    this.socket.on('close', this.connect)
    this.connect()
  }

  ask(line) {
    return new Promise((resolve) => {
      this.waiting.push(resolve)
      this.socket.write(`${line}\n`)
    })
  }

  end() {
    this.socket.off('close', this.connect)
    this.socket.end()
    return once(this.socket, 'close')
  }
}

export const steps = {
  'an echo server with line framing answers 200 clients': async () => {
    const server = lineServer()
    const port = await listening(server)
    const expected = Array.from({ length: 50 }, (_, index) => `LINE ${index} Ü`).join()
    const clients = await Promise.all(Array.from({ length: 200 }, () => lineClient(port, 50)))
    return {
      right: clients.filter(({ answers, hadError }) => !hadError && answers.join() === expected).length,
      server: await closed(server),
    }
  },

  '100 MB go both ways through a proxy of pipes': () =>
    throughProxy((near, far) => {
      near.pipe(far)
      far.pipe(near)
    }),

  '100 MB go both ways through a proxy of pipelines': () =>
    throughProxy((near, far) => {
      pipeline(near, far, (error) => error && near.destroy(error))
      pipeline(far, near, (error) => error && far.destroy(error))
    }),

  'a proxy passes the reset of its client on': async () => {
    const codes = []
    let ended
    const over = new Promise((resolve) => (ended = resolve))
    const target = net.createServer((socket) => {
      socket.resume()
      socket.on('error', (error) => codes.push(error.code)).on('close', ended)
    })
    const proxy = proxyServer(await listening(target), (near, far) => {
      near.on('error', () => far.resetAndDestroy())
      far.on('error', () => near.destroy())
      near.pipe(far).pipe(near)
      near.once('data', () => client.resetAndDestroy())
    })
    const client = net.connect(await listening(proxy), host)
    client.write('hello')
    await over
    return { codes, proxy: await closed(proxy), target: await closed(target) }
  },

  'a pool connects again after each FIN of the server': async () => {
    const server = net.createServer((socket) => {
      let answered = 0
      lines(socket, (line) => {
        if (++answered < 10) socket.write(`${line}!\n`)
        else socket.end(`${line}!\n`)
      })
    })
    const port = await listening(server)
    const members = Array.from({ length: 4 }, () => new PoolMember(port))
    let right = 0
    await Promise.all(
      members.map(async (member) => {
        for (let index = 0; index < 45; index++) {
          if (member.socket.pending || member.socket.readyState !== 'open') await once(member.socket, 'connect')
          if ((await member.ask(`ask ${index}`)) === `ask ${index}!`) right++
          if (index % 10 === 9) await once(member.socket, 'connect')
        }
      }),
    )
    await Promise.all(members.map((member) => member.end()))
    return { right, connects: members.map(({ connects }) => connects), server: await closed(server) }
  },

  'a refused socket connects when a server is there': async () => {
    const server = lineServer()
    const port = await listening(server)
    await closed(server)
    const socket = new net.Socket()
    const log = record(socket, ['connect', 'ready', 'error', 'close', 'end'])
    const refused = new Promise((resolve) => socket.once('error', resolve))
    socket.connect(port, host)
    const error = await refused
    await once(socket, 'close')
    await listening(server, { port, host })
    socket.connect(port, host)
    await once(socket, 'connect')
    const answer = once(socket, 'data')
    socket.write('again\n')
    const text = String((await answer)[0])
    socket.end()
    await once(socket, 'close')
    const { code, syscall, address } = error
    return { code, syscall, address, port: error.port === port, text, log, server: await closed(server) }
  },

  'the events of both ends come in their order': async () => {
    const names = ['lookup', 'connect', 'ready', 'data', 'drain', 'end', 'finish', 'close']
    const accepted = []
    const server = net.createServer((socket) => {
      record(socket, names, accepted)
      socket.on('end', () => socket.end('bye'))
    })
    server.listen(0, host)
    await once(server, 'listening')
    const socket = net.connect(server.address().port, host)
    const client = record(socket, names)
    const called = []
    socket.write('a', () => called.push('written'))
    socket.end('b', () => called.push('ended'))
    await once(socket, 'close')
    await until(() => accepted.includes('close false'))
    return { client, accepted, called, server: await closed(server) }
  },

  'a Unix path is served, and its file is removed': async () => {
    const folder = mkdtempSync(join(tmpdir(), 'consumers-'))
    const path = join(folder, 'echo')
    const server = echoServer()
    server.listen(path)
    await once(server, 'listening')
    const address = server.address() === path
    const socket = net.connect(path)
    const answer = digest(socket)
    const sent = body(2 ** 20)
    socket.end(sent)
    const { bytes, sha: received } = await answer
    const end = await closed(server)
    const removed = !existsSync(path)
    const late = net.connect(path)
    const code = await ending(once(late, 'connect'))
    rmSync(folder, { recursive: true })
    return { address, bytes, same: received === sha(sent), end, removed, code }
  },

  'an idle socket times out, and lives on until it is destroyed': async () => {
    const server = lineServer()
    const socket = net.connect(await listening(server), host)
    const log = record(socket, ['timeout', 'end', 'close'])
    socket.setTimeout(30)
    await once(socket, 'timeout')
    const answer = once(socket, 'data')
    socket.write('alive\n')
    const text = String((await answer)[0])
    await once(socket, 'timeout')
    socket.setTimeout(0)
    socket.destroy()
    await once(socket, 'close')
    return { text, log, server: await closed(server) }
  },

  'a signal aborts a socket that is connected': async () => {
    const server = echoServer()
    const port = await listening(server)
    const controller = new AbortController()
    const socket = net.connect({ port, host, signal: controller.signal })
    await once(socket, 'connect')
    const error = once(socket, 'close').catch((reason) => reason.code)
    controller.abort()
    return { code: await error, destroyed: socket.destroyed, server: await closed(server) }
  },

  'a server drops what is above its limit': async () => {
    const server = net.createServer((socket) => socket.end('welcome'))
    server.maxConnections = 1
    let drops = 0
    server.on('drop', () => drops++)
    const held = []
    server.on('connection', (socket) => held.push(socket))
    const port = await listening(server)
    const first = net.connect({ port, host, allowHalfOpen: true })
    const text = String((await once(first, 'data'))[0])
    const second = net.connect(port, host)
    const nothing = await digest(second).catch((error) => error.code)
    const count = await new Promise((resolve) => server.getConnections((_, value) => resolve(value)))
    first.end()
    return { text, nothing, drops, count, held: held.length, server: await closed(server) }
  },

  'a backlog of writes drains, and counts as written at once': async () => {
    const server = net.createServer((socket) => socket.pause())
    const accepted = once(server, 'connection')
    const socket = net.connect(await listening(server), host)
    const [peer] = await accepted
    const sent = body(16 * 2 ** 20)
    const taken = []
    for (let at = 0; at < sent.length; at += 2 ** 20) taken.push(socket.write(sent.subarray(at, at + 2 ** 20)))
    const { bytesWritten } = socket
    const drained = once(socket, 'drain')
    const answer = digest(peer)
    peer.resume()
    await drained
    socket.end()
    const { bytes, sha: received } = await answer
    return {
      last: taken.at(-1),
      bytesWritten,
      left: socket.writableLength,
      bytes,
      same: received === sha(sent),
      server: await closed(server),
    }
  },
}
