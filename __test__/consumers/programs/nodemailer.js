// nodemailer against smtp-server, whose server is a `net.Server`: plain, STARTTLS, a pool, failures.

import { once } from 'node:events'
import net from 'node:net'

import nodemailer from 'nodemailer'
import { SMTPServer } from 'smtp-server'

import { certificate } from './support/certificate.js'
import { body, closed, host, listening, record, sha, until } from './support/local.js'

/** A server that keeps what it receives; `options` are those of smtp-server. */
async function served(options = {}) {
  const messages = []
  const errors = []
  const smtp = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    closeTimeout: 2_000,
    ...certificate(),
    onAuth: ({ username, password }, session, callback) =>
      callback(username === 'user' && password === 'secret' ? null : new Error('no'), { user: username }),
    onData: async (stream, session, callback) => {
      const text = Buffer.concat(await stream.toArray()).toString()
      messages.push({ text, secure: session.secure, user: session.user, client: session.remoteAddress })
      callback(stream.sizeExceeded ? Object.assign(new Error('too large'), { responseCode: 552 }) : null)
    },
    ...options,
  })
  smtp.on('error', (error) => errors.push(error.code))
  await new Promise((resolve) => smtp.listen(0, host, resolve))
  const close = async () => {
    await new Promise((resolve) => smtp.close(resolve))
    return 'closed'
  }
  return { smtp, messages, errors, port: smtp.server.address().port, close }
}

const transportOf = (port, options) =>
  nodemailer.createTransport({ host, port, name: 'client.example', tls: { rejectUnauthorized: false }, ...options })

const mail = (subject, more) => ({ from: 'a@example.com', to: 'b@example.com', subject, text: 'hello', ...more })

const codeOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => `${error.code} ${error.command ?? ''} ${error.responseCode ?? ''}`.trim(),
  )

const subjects = (messages) => messages.map(({ text }) => /^Subject: (.*)$/m.exec(text)[1].trim()).sort()

export const steps = {
  'a plain message': async () => {
    const { messages, port, close } = await served()
    const transport = transportOf(port, { ignoreTLS: true })
    const verified = await transport.verify()
    const { accepted, response } = await transport.sendMail(mail('plain'))
    transport.close()
    const [{ secure, client }] = messages
    return { verified, accepted, response, subjects: subjects(messages), secure, client, server: await close() }
  },

  'STARTTLS, with a user': async () => {
    const { messages, port, close } = await served()
    const transport = transportOf(port, { requireTLS: true, auth: { user: 'user', pass: 'secret' } })
    const { accepted } = await transport.sendMail(mail('secret'))
    transport.close()
    const [{ secure, user }] = messages
    return { accepted, subjects: subjects(messages), secure, user, server: await close() }
  },

  'TLS from the beginning': async () => {
    const { messages, port, close } = await served({ secure: true })
    const transport = transportOf(port, { secure: true })
    const { accepted } = await transport.sendMail(mail('secure'))
    transport.close()
    return { accepted, secure: messages[0].secure, server: await close() }
  },

  'an attachment of 5 MB arrives': async () => {
    const { messages, port, close } = await served({ size: 20 * 2 ** 20 })
    const transport = transportOf(port)
    const sent = body(5 * 2 ** 20)
    await transport.sendMail(mail('large', { attachments: [{ filename: 'a.bin', content: sent }] }))
    transport.close()
    const [, encoded] = /filename=a\.bin[^]*?\r\n\r\n([^-]*)/.exec(messages[0].text)
    return { same: sha(Buffer.from(encoded, 'base64')) === sha(sent), server: await close() }
  },

  'a pool sends 60 messages over 3 connections': async () => {
    let connections = 0
    const { messages, port, close } = await served({
      onConnect: (session, callback) => {
        connections++
        callback()
      },
    })
    const transport = transportOf(port, { pool: true, maxConnections: 3, maxMessages: 100 })
    const sent = await Promise.all(
      Array.from({ length: 60 }, (_, index) => transport.sendMail(mail(`number ${index}`))),
    )
    transport.close()
    return {
      sent: sent.length,
      connections,
      different: new Set(subjects(messages)).size,
      server: await close(),
    }
  },

  'a pool goes on after the server has ended its connections': async () => {
    const { smtp, messages, port, close } = await served()
    const transport = transportOf(port, { pool: true, maxConnections: 1 })
    await transport.sendMail(mail('1'))
    const [connection] = smtp.connections
    const over = once(connection._socket, 'close')
    connection._socket.end()
    await over
    await transport.sendMail(mail('2'))
    transport.close()
    return { subjects: subjects(messages), server: await close() }
  },

  'a socket that the program connects': async () => {
    const { messages, port, close } = await served()
    let log
    const transport = nodemailer.createTransport({
      name: 'client.example',
      tls: { rejectUnauthorized: false },
      getSocket: (options, callback) => {
        const connection = net.connect(port, host, () => callback(null, { connection }))
        log = record(connection, ['end', 'close'])
      },
    })
    const { accepted } = await transport.sendMail(mail('mine'))
    transport.close()
    const server = await close()
    await until(() => log.includes('close false'))
    return { accepted, secure: messages[0].secure, server }
  },

  'what the server refuses': async () => {
    const { port, close } = await served({
      size: 1_000,
      onRcptTo: ({ address }, session, callback) => callback(address.startsWith('no') ? new Error('unknown') : null),
    })
    const transport = transportOf(port, { requireTLS: true })
    const recipient = await codeOf(transport.sendMail(mail('x', { to: 'no@example.com' })))
    const size = await codeOf(transport.sendMail(mail('x', { text: 'x'.repeat(5_000) })))
    transport.close()
    const wrong = transportOf(port, { requireTLS: true, auth: { user: 'user', pass: 'wrong' } })
    const auth = await codeOf(wrong.sendMail(mail('x')))
    wrong.close()
    const strict = transportOf(port, { requireTLS: true, tls: { servername: 'localhost' } })
    const authority = await codeOf(strict.sendMail(mail('x')))
    strict.close()
    return { recipient, size, auth, authority, server: await close() }
  },

  'a server that is not there, silent, cut or garbled': async () => {
    const outcomes = {}
    const ask = async (name, port, options) => {
      const transport = transportOf(port, options)
      outcomes[name] = await codeOf(transport.sendMail(mail('x')))
      transport.close()
    }
    const silent = net.createServer((socket) => socket.on('error', () => {}).resume())
    await ask('silent', await listening(silent), { greetingTimeout: 60 })
    await closed(silent)
    const cut = net.createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.destroy())
      socket.write('220 ready\r\n')
    })
    await ask('cut', await listening(cut))
    const reset = net.createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.resetAndDestroy())
      socket.write('220 ready\r\n')
    })
    await ask('reset', await listening(reset))
    const stalled = net.createServer((socket) => {
      socket.on('error', () => {}).resume()
      socket.write('220 ready\r\n')
    })
    await ask('stalled', await listening(stalled), { socketTimeout: 60 })
    const garbled = net.createServer((socket) => socket.on('error', () => {}).end('\x00\x01garbage\r\n'))
    const port = await listening(garbled)
    await ask('garbled', port)
    for (const server of [cut, reset, stalled, garbled]) await closed(server)
    await ask('refused', port)
    return outcomes
  },
}
