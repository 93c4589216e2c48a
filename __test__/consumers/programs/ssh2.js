// ssh2: a server and clients in one program; the server is a `net.Server`, the client a `net.Socket` or one it is given.

import { once } from 'node:events'
import net from 'node:net'

import ssh2 from 'ssh2'

import { body, closed, digest, host, listening, sha, sleep, until } from './support/local.js'
import { event } from './support/outcomes.js'

const { Client, Server, utils } = ssh2
const { OPEN_MODE, STATUS_CODE } = utils.sftp
const hostKey = keyPair().private
const { private: userKey, public: userPublic } = keyPair()
const allowed = utils.parseKey(userPublic)

/** Some of the keys that ssh2 makes it cannot read itself. */
function keyPair() {
  for (;;) {
    const pair = utils.generateKeyPairSync('ed25519')
    if (!(utils.parseKey(pair.private) instanceof Error)) return pair
  }
}

function authenticate(context) {
  const { method, username, password } = context
  if (method === 'password' && username === 'user' && password === 'secret') return context.accept()
  if (method !== 'publickey' || !context.key.data.equals(allowed.getPublicSSH())) return context.reject()
  if (context.signature && allowed.verify(context.blob, context.signature, context.hashAlgo) !== true) {
    return context.reject()
  }
  return context.accept()
}

const commands = {
  echo: (channel) => channel.pipe(channel),
  digest: async (channel) => {
    const { bytes, sha: hash } = await digest(channel)
    channel.stderr.write('warned')
    channel.write(`${bytes} ${hash}`)
    channel.exit(3)
    channel.end()
  },
  send: (channel) => {
    channel.write(body(5 * 2 ** 20), () => channel.exit(0))
    channel.end()
  },
}

/** One file in memory, read and written by its offsets. */
function serveSftp(sftp, files) {
  const opened = []
  sftp.on('OPEN', (id, path, flags) => {
    if (flags & OPEN_MODE.WRITE) files[path] = Buffer.alloc(0)
    if (!files[path]) return sftp.status(id, STATUS_CODE.NO_SUCH_FILE)
    sftp.handle(id, Buffer.from([opened.push(path) - 1]))
  })
  sftp.on('FSTAT', (id, handle) => sftp.attrs(id, { size: files[opened[handle[0]]].length, mode: 0o100644 }))
  sftp.on('FSETSTAT', (id) => sftp.status(id, STATUS_CODE.OK))
  sftp.on('READ', (id, handle, offset, length) => {
    const bytes = files[opened[handle[0]]].subarray(offset, offset + length)
    if (bytes.length === 0) sftp.status(id, STATUS_CODE.EOF)
    else sftp.data(id, bytes)
  })
  sftp.on('WRITE', (id, handle, offset, bytes) => {
    const path = opened[handle[0]]
    if (files[path].length < offset + bytes.length) {
      files[path] = Buffer.concat([files[path], Buffer.alloc(offset + bytes.length - files[path].length)])
    }
    bytes.copy(files[path], offset)
    sftp.status(id, STATUS_CODE.OK)
  })
  sftp.on('CLOSE', (id) => sftp.status(id, STATUS_CODE.OK))
}

async function served(options = {}) {
  const files = {}
  const clients = []
  const log = []
  const server = new Server({ hostKeys: [hostKey], ...options }, (client) => {
    clients.push(client.setNoDelay())
    client.on('error', (error) => log.push(error.level ?? error.code))
    client.on('close', () => log.push('close'))
    client.on('authentication', authenticate)
    client.on('session', (accept) => {
      const session = accept()
      session.on('exec', (acceptExec, reject, { command }) => {
        if (commands[command]) commands[command](acceptExec())
        else reject()
      })
      session.on('sftp', (acceptSftp) => serveSftp(acceptSftp(), files))
    })
    client.on('tcpip', (accept, reject, { destIP, destPort }) => {
      const out = net.connect(destPort, destIP)
      const channel = accept()
      channel.pipe(out).pipe(channel)
    })
  })
  return { server, clients, files, log, port: await listening(server) }
}

async function connected(port, options) {
  const client = new Client()
  client.on('error', () => {})
  const ready = once(client, 'ready')
  client.connect({ port, host, username: 'user', privateKey: userKey, ...options })
  await ready
  return client.setNoDelay()
}

const exec = (client, command) =>
  new Promise((resolve, reject) => client.exec(command, (error, channel) => (error ? reject(error) : resolve(channel))))

const sftpOf = (client) =>
  new Promise((resolve, reject) => client.sftp((error, sftp) => (error ? reject(error) : resolve(sftp))))

const levelOf = (options) =>
  new Promise((resolve) => {
    const client = new Client()
    client.on('error', (error) => {
      resolve(`${error.level} ${error.code ?? error.message}`)
      client.destroy()
    })
    client.on('close', () => resolve('closed'))
    client.connect({ host, username: 'user', ...options })
  })

async function end(client, server) {
  const over = event(client, 'close')
  client.end()
  await over
  return closed(server)
}

export const steps = {
  'exec: input, output, errors, the exit code': async () => {
    const { server, port } = await served()
    const client = await connected(port)
    const channel = await exec(client, 'digest')
    const sent = body(5 * 2 ** 20)
    const exit = event(channel, 'exit')
    const errors = digest(channel.stderr)
    const output = channel.toArray()
    channel.end(sent)
    const text = Buffer.concat(await output).toString()
    return {
      same: text === `${5 * 2 ** 20} ${sha(sent)}`,
      exit: (await exit)[0],
      errors: (await errors).bytes,
      server: await end(client, server),
    }
  },

  '5 MB are received, and 20 channels echo at once': async () => {
    const { server, port } = await served()
    const client = await connected(port, { privateKey: undefined, password: 'secret' })
    const { bytes, sha: received } = await digest(await exec(client, 'send'))
    const sent = body(200_000)
    const echoes = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const channel = await exec(client, 'echo')
        const answer = digest(channel)
        channel.end(sent)
        return (await answer).sha === sha(sent)
      }),
    )
    return {
      bytes,
      same: received === sha(body(5 * 2 ** 20)),
      echoes: echoes.filter(Boolean).length,
      server: await end(client, server),
    }
  },

  'sftp: 5 MB are written and read': async () => {
    const { server, files, port } = await served()
    const client = await connected(port)
    const sftp = await sftpOf(client)
    const sent = body(5 * 2 ** 20)
    const writing = sftp.createWriteStream('/file')
    writing.end(sent)
    await event(writing, 'close')
    const written = sha(files['/file']) === sha(sent)
    const { bytes, sha: received } = await digest(sftp.createReadStream('/file'))
    const missing = await new Promise((resolve) => sftp.readFile('/none', (error) => resolve(error.code)))
    return { written, bytes, read: received === sha(sent), missing, server: await end(client, server) }
  },

  'over a socket that the program connects': async () => {
    const { server, port } = await served()
    const sock = net.connect(port, host)
    const client = await connected(undefined, { sock })
    const channel = await exec(client, 'echo')
    channel.end('over my socket')
    const text = Buffer.concat(await channel.toArray()).toString()
    const ended = await end(client, server)
    return { text, destroyed: sock.destroyed, server: ended }
  },

  'a forwarded connection': async () => {
    const { server, port } = await served()
    const echo = net.createServer((socket) => socket.pipe(socket))
    const target = await listening(echo)
    const client = await connected(port)
    const channel = await new Promise((resolve, reject) =>
      client.forwardOut(host, 1, host, target, (error, value) => (error ? reject(error) : resolve(value))),
    )
    const sent = body(2 ** 20)
    const answer = digest(channel)
    channel.end(sent)
    const same = (await answer).sha === sha(sent)
    return { same, server: await end(client, server), echo: await closed(echo) }
  },

  'keep-alives are answered, and a silent server is found': async () => {
    const { server, port } = await served()
    const client = await connected(port, { keepaliveInterval: 100, keepaliveCountMax: 3 })
    let alive = true
    client.on('close', () => (alive = false))
    await sleep(500)
    const stayed = alive
    const ended = await end(client, server)
    const sockets = []
    const proxied = await served()
    const proxy = net.createServer((socket) => {
      const far = net.connect(proxied.port, host)
      sockets.push(socket, far)
      for (const one of [socket, far]) one.on('error', () => {})
      socket.pipe(far).pipe(socket)
    })
    const through = await connected(await listening(proxy), { keepaliveInterval: 100, keepaliveCountMax: 2 })
    const failed = event(through, 'error')
    sockets[1].unpipe(sockets[0])
    const [error] = await failed
    for (const socket of sockets) socket.destroy()
    return {
      stayed,
      level: error.level,
      server: ended,
      proxied: await closed(proxied.server),
      proxy: await closed(proxy),
    }
  },

  'the server ends a connection, and resets one': async () => {
    const { server, clients, port } = await served()
    const client = await connected(port)
    const log = []
    for (const name of ['end', 'close']) client.on(name, () => log.push(name))
    clients[0].end()
    await until(() => log.includes('close'))
    const second = await connected(port)
    const failed = event(second, 'error')
    const over = event(second, 'close')
    clients[1]._sock.resetAndDestroy()
    const [error] = await failed
    await over
    return { log, code: error.code, level: error.level, server: await closed(server) }
  },

  'what is refused: a password, a command, a port': async () => {
    const { server, port } = await served()
    const password = await levelOf({ port, password: 'wrong' })
    const client = await connected(port)
    const command = await exec(client, 'nothing').then(
      () => 'accepted',
      (error) => error.message,
    )
    const ended = await end(client, server)
    return { password, command, refused: await levelOf({ port, password: 'secret' }), server: ended }
  },

  'a server that greets with garbage, or with nothing': async () => {
    const silent = net.createServer((socket) => socket.on('error', () => {}).resume())
    const readyTimeout = await levelOf({ port: await listening(silent), readyTimeout: 60 })
    const garbage = net.createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('SSH-1.0-old\r\n'),
    )
    const greeting = await levelOf({ port: await listening(garbage) })
    return { readyTimeout, greeting, silent: await closed(silent), garbage: await closed(garbage) }
  },
}
