// @grpc/grpc-js: its client connects by `net.connect`; its server is fed by `net`.

import { once } from 'node:events'
import net from 'node:net'

import grpc from '@grpc/grpc-js'

import { body, closed, digest, host, listening, sha, until } from './support/local.js'

const bytes = { serialize: (value) => value, deserialize: (value) => value }

const method = (path, requestStream, responseStream) => ({
  path: `/consumers.Test/${path}`,
  requestStream,
  responseStream,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
})

const service = {
  unary: method('Unary', false, false),
  upload: method('Upload', true, false),
  download: method('Download', false, true),
  both: method('Both', true, true),
}

const Client = grpc.makeGenericClientConstructor(service, 'Test')

const large = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 }

const handlers = {
  unary: (call, callback) => {
    if (String(call.request) === 'fail') callback({ code: grpc.status.NOT_FOUND, details: 'not here' })
    else callback(null, call.request)
  },
  upload: async (call, callback) => {
    const { bytes: count, sha: hash } = await digest(call)
    callback(null, Buffer.from(`${count} ${hash}`))
  },
  download: (call) => {
    for (let index = 0; index < Number(String(call.request)); index++) call.write(Buffer.from(`message ${index}`))
    call.end()
  },
  both: (call) => {
    call.on('data', (message) => call.write(message))
    call.on('end', () => call.end())
  },
}

async function served(overrides = {}) {
  const grpcServer = new grpc.Server(large)
  grpcServer.addService(service, { ...handlers, ...overrides })
  const injector = grpcServer.createConnectionInjector(grpc.ServerCredentials.createInsecure())
  const server = net.createServer({ allowHalfOpen: true }, (socket) => injector.injectConnection(socket))
  const sockets = []
  server.on('connection', (socket) => sockets.push(socket))
  const port = await listening(server)
  const client = new Client(`${host}:${port}`, grpc.credentials.createInsecure(), large)
  const close = async () => {
    client.close()
    const shutdown = await new Promise((resolve) => grpcServer.tryShutdown(resolve))
    injector.destroy()
    return `${shutdown?.message ?? 'shut down'}, ${await closed(server)}`
  }
  return { client, grpcServer, injector, server, sockets, port, close }
}

const unary = (client, request, options = {}) =>
  new Promise((resolve) =>
    client.unary(Buffer.from(request), options, (error, value) =>
      resolve(error ? grpc.status[error.code] : String(value)),
    ),
  )

const statusOf = (call) =>
  new Promise((resolve) => {
    call.on('error', () => {})
    call.on('status', ({ code }) => resolve(grpc.status[code]))
  })

export const steps = {
  'a unary call, one that fails, one that is not implemented': async () => {
    const { client, close } = await served()
    const answers = [await unary(client, 'hello'), await unary(client, 'fail')]
    const other = new Promise((resolve) =>
      client.makeUnaryRequest('/consumers.Test/Other', bytes.serialize, bytes.deserialize, Buffer.alloc(0), (error) =>
        resolve(grpc.status[error.code]),
      ),
    )
    answers.push(await other)
    return { answers, server: await close() }
  },

  '1,000 unary calls at once over one connection': async () => {
    const { client, sockets, close } = await served()
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, index) => unary(client, `call ${index}`)))
    return {
      right: answers.filter((answer, index) => answer === `call ${index}`).length,
      connections: sockets.length,
      server: await close(),
    }
  },

  'a message of 10 MB goes both ways': async () => {
    const { client, close } = await served()
    const sent = body(10 * 2 ** 20)
    const answer = await new Promise((resolve, reject) =>
      client.unary(sent, (error, value) => (error ? reject(error) : resolve(value))),
    )
    return { same: sha(answer) === sha(sent), server: await close() }
  },

  'a stream of 500 messages to the server': async () => {
    const { client, close } = await served()
    const message = body(20_000)
    const answer = await new Promise((resolve, reject) => {
      const call = client.upload((error, value) => (error ? reject(error) : resolve(String(value))))
      for (let index = 0; index < 500; index++) call.write(message)
      call.end()
    })
    const expected = `${500 * 20_000} ${sha(Buffer.concat(Array(500).fill(message)))}`
    return { same: answer === expected, server: await close() }
  },

  'a stream of 5,000 messages from the server': async () => {
    const { client, close } = await served()
    const call = client.download(Buffer.from('5000'))
    const status = statusOf(call)
    let inOrder = 0
    for await (const message of call) if (String(message) === `message ${inOrder}`) inOrder++
    return { inOrder, status: await status, server: await close() }
  },

  'streams both ways, ten at once': async () => {
    const { client, close } = await served()
    const counts = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const call = client.both()
        let count = 0
        call.on('data', (message) => {
          if (String(message) === `message ${count}` && ++count < 100) call.write(Buffer.from(`message ${count}`))
          else call.end()
        })
        call.write(Buffer.from('message 0'))
        await once(call, 'end')
        return count
      }),
    )
    return { counts, server: await close() }
  },

  'a deadline, for a call that is not answered': async () => {
    const log = []
    const { client, close } = await served({
      unary: (call) => call.on('cancelled', () => log.push('cancelled')),
    })
    const answer = await unary(client, 'never', { deadline: Date.now() + 60 })
    await until(() => log.length === 1)
    return { answer, log, server: await close() }
  },

  'a call is cancelled at either end': async () => {
    const log = []
    const { client, close } = await served({
      download: (call) => {
        call.on('cancelled', () => log.push('cancelled'))
        if (String(call.request) === 'fail') call.emit('error', { code: grpc.status.ABORTED, details: 'enough' })
        else call.write(Buffer.from('first'))
      },
    })
    const call = client.download(Buffer.from('wait'))
    const status = statusOf(call)
    await once(call, 'data')
    call.cancel()
    const byClient = await status
    await until(() => log.length > 0)
    const other = client.download(Buffer.from('fail'))
    other.resume()
    const byServer = await statusOf(other)
    return { byClient, byServer, server: await close() }
  },

  'the server shuts down: what is under way is finished, what comes later is refused': async () => {
    let answer
    const { client, grpcServer, server } = await served({
      unary: (call, callback) => (answer = () => callback(null, call.request)),
    })
    const underWay = unary(client, 'under way')
    await until(() => answer)
    const shutdown = new Promise((resolve) => grpcServer.tryShutdown(resolve))
    const end = closed(server)
    setTimeout(answer, 30)
    const first = await underWay
    await shutdown
    const late = await unary(client, 'late', { deadline: Date.now() + 2_000 })
    client.close()
    return { first, late, server: await end }
  },

  'the server is forced to shut down, and its connections are reset': async () => {
    const { client, grpcServer, server, sockets } = await served({ unary: () => sockets[0].resetAndDestroy() })
    const reset = await unary(client, 'never')
    client.close()
    grpcServer.forceShutdown()
    return { reset, connections: sockets.length, server: await closed(server) }
  },

  'it connects again when the server is there again': async () => {
    const { client, server, sockets, port } = await served()
    const first = await unary(client, 'first')
    const over = closed(server)
    sockets[0].destroy()
    await over
    await until(() => client.getChannel().getConnectivityState(false) !== grpc.connectivityState.READY)
    await listening(server, { port, host })
    const second = await unary(client, 'second', { waitForReady: true, deadline: Date.now() + 10_000 })
    client.close()
    return { first, second, connections: sockets.length, server: await closed(server) }
  },

  'a server that is not there': async () => {
    const { client, close } = await served()
    await close()
    const gone = new Client(client.getChannel().getTarget(), grpc.credentials.createInsecure())
    const answer = await unary(gone, 'hello', { deadline: Date.now() + 5_000 })
    gone.close()
    return { answer }
  },
}
