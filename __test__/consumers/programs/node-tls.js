// node:tls over sockets of `net`: clients by `tls.connect({ socket })`, servers that are fed, STARTTLS, sessions, garbage.

import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'

import { certificate } from './support/certificate.js'
import { body, closed, digest, host, listening, record, sha, until } from './support/local.js'
import { ending } from './support/outcomes.js'

/** A `net` server that feeds a TLS server; returns both, and the port. */
async function fedServer(options, onSecure) {
  const secure = tls.createServer({ ...certificate(), ...options }, onSecure)
  const server = net.createServer(options, (socket) => secure.emit('connection', socket))
  return { secure, server, port: await listening(server) }
}

const beneath = (port, options) => net.connect({ port, host, ...options })

const trusted = (socket, options) => ({ socket, servername: 'localhost', ca: certificate().cert, ...options })

const echo = (socket) => {
  socket.on('error', () => {})
  socket.pipe(socket)
}

export const steps = {
  '20 MB go both ways by hash': async () => {
    const { server, port } = await fedServer({}, echo)
    const client = tls.connect(trusted(beneath(port)))
    await once(client, 'secureConnect')
    const { authorized } = client
    const protocol = client.getProtocol()
    const sent = body(20 * 2 ** 20)
    const answer = digest(client)
    client.end(sent)
    const { bytes, sha: received } = await answer
    return { bytes, same: received === sha(sent), authorized, protocol, server: await closed(server) }
  },

  '50 clients at once': async () => {
    const { server, port } = await fedServer({}, echo)
    const sent = body(100_000)
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => {
        const client = tls.connect(trusted(beneath(port)))
        client.end(sent)
        return digest(client)
      }),
    )
    return { same: answers.filter(({ sha: received }) => received === sha(sent)).length, server: await closed(server) }
  },

  'STARTTLS: both ends upgrade a plain socket': async () => {
    const log = []
    const server = net.createServer((socket) => {
      socket.write('ready\r\n')
      socket.once('data', (line) => {
        log.push(`server: ${String(line).trim()}`)
        socket.write('go\r\n')
        const secureContext = tls.createSecureContext(certificate())
        const secure = new tls.TLSSocket(socket, { isServer: true, secureContext })
        secure.on('secure', () => log.push('server: secure'))
        secure.on('data', (bytes) => secure.end(`you said ${bytes}`))
      })
    })
    const socket = beneath(await listening(server))
    const greeting = String((await once(socket, 'data'))[0])
    const go = once(socket, 'data')
    socket.write('STARTTLS\r\n')
    const answer = String((await go)[0])
    const secure = tls.connect(trusted(socket))
    await once(secure, 'secureConnect')
    const data = once(secure, 'data')
    secure.write('secret')
    const text = String((await data)[0])
    await once(secure, 'close')
    return { greeting, answer, text, log, beneath: socket.destroyed, server: await closed(server) }
  },

  'a half-closed stream goes on the other way': async () => {
    const { server, port } = await fedServer({ allowHalfOpen: true }, (socket) => {
      const sent = body(2 ** 20)
      digest(socket).then(({ bytes }) => {
        socket.write(`${bytes}:`)
        socket.end(sent)
      })
    })
    const client = tls.connect(trusted(beneath(port, { allowHalfOpen: true }), { allowHalfOpen: true }))
    await once(client, 'secureConnect')
    const answer = digest(client)
    client.end(body(3 * 2 ** 20))
    const { bytes, sha: received } = await answer
    const expected = sha(Buffer.concat([Buffer.from(`${3 * 2 ** 20}:`), body(2 ** 20)]))
    return { bytes, same: received === expected, server: await closed(server) }
  },

  'garbage from a client is a tlsClientError of the server': async () => {
    const { secure, server, port } = await fedServer({}, echo)
    const failed = once(secure, 'tlsClientError')
    const client = beneath(port)
    const log = record(client, ['end', 'close'])
    client.on('error', () => {})
    client.resume()
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const [error] = await failed
    await once(client, 'close')
    return { code: error.code, ended: log.includes('end'), server: await closed(server) }
  },

  'garbage from a server is an error of the client': async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end('220 mail.example ready for everything\r\n'))
    })
    const socket = beneath(await listening(server))
    const code = await ending(once(tls.connect(trusted(socket)), 'secureConnect'))
    await until(() => socket.destroyed)
    return { code, server: await closed(server) }
  },

  'a server that closes in the handshake, and one that is not there': async () => {
    const server = net.createServer((socket) => socket.on('error', () => {}).once('data', () => socket.destroy()))
    const port = await listening(server)
    const ended = await ending(once(tls.connect(trusted(beneath(port))), 'secureConnect'))
    const end = await closed(server)
    const refused = await ending(once(tls.connect(trusted(beneath(port))), 'secureConnect'))
    return { ended, refused, server: end }
  },

  'an unknown authority is refused': async () => {
    const { server, port } = await fedServer({}, echo)
    const client = tls.connect({ socket: beneath(port), servername: 'localhost' })
    const code = await ending(once(client, 'secureConnect'))
    return { code, server: await closed(server) }
  },

  'a session is used again': async () => {
    const { server, port } = await fedServer({ maxVersion: 'TLSv1.2' }, (socket) => socket.end('hello'))
    const first = tls.connect(trusted(beneath(port)))
    const reused = []
    first.on('secureConnect', () => reused.push(first.isSessionReused()))
    const [session] = await once(first, 'session')
    await digest(first)
    const second = tls.connect(trusted(beneath(port), { session }))
    second.on('secureConnect', () => reused.push(second.isSessionReused()))
    const { bytes } = await digest(second)
    return {
      bytes,
      reused,
      server: await closed(server),
    }
  },

  'ALPN and SNI arrive, addresses are those beneath': async () => {
    const names = []
    const { server, port } = await fedServer(
      {
        ALPNProtocols: ['b', 'a'],
        SNICallback: (name, callback) => {
          names.push(name)
          callback(null, tls.createSecureContext(certificate()))
        },
      },
      (socket) => socket.end(`${socket.alpnProtocol} ${socket.servername} ${socket.remoteAddress}`),
    )
    const client = tls.connect(trusted(beneath(port), { ALPNProtocols: ['a'] }))
    const chunks = await client.toArray()
    return { text: Buffer.concat(chunks).toString(), names, server: await closed(server) }
  },

  'an idle stream times out': async () => {
    const { server, port } = await fedServer({}, echo)
    const client = tls.connect(trusted(beneath(port)))
    await once(client, 'secureConnect')
    client.setTimeout(40)
    await once(client, 'timeout')
    client.destroy()
    await once(client, 'close')
    return { destroyed: client.destroyed, server: await closed(server) }
  },

  'a reset beneath is an error above': async () => {
    const sockets = []
    const { secure, server, port } = await fedServer({}, echo)
    server.on('connection', (socket) => sockets.push(socket))
    const client = tls.connect(trusted(beneath(port)))
    await Promise.all([once(client, 'secureConnect'), once(secure, 'secureConnection')])
    const failed = once(client, 'error')
    client.resume()
    sockets[0].resetAndDestroy()
    const [{ code }] = await failed
    return { code, server: await closed(server) }
  },
}
