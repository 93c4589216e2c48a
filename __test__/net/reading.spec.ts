import type { NetConnectOpts, Socket } from 'node:net'

import { type Net, type Stage, eachOnBoth, eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

const QUIET = { without: ['lookup', 'connectionAttempt', 'connect', 'ready'] }

/** A client of a server that does `serve` with each connection. */
async function clientOf(
  net: Net,
  { server, track }: Stage,
  serve: (socket: Socket) => void,
  options: object = {},
): Promise<Socket> {
  const port = portOf(await server(serve))
  return track(net.connect({ port, host: '127.0.0.1', ...options } as NetConnectOpts))
}

/** Bytes whose place can be seen. */
const bytes = (count: number) => Buffer.from(Array.from({ length: count }, (_, at) => at % 251))

eachOnBoth<(received: Uint8Array[]) => object>(
  'onread_gets_all_input_by_%s',
  {
    'one array': (received) => ({
      buffer: Buffer.alloc(1000),
      callback: (count: number, array: Uint8Array) => void received.push(array.slice(0, count)),
    }),
    'a Uint8Array': (received) => ({
      buffer: new Uint8Array(7),
      callback: (count: number, array: Uint8Array) => void received.push(array.slice(0, count)),
    }),
    'a function': (received) => ({
      buffer: () => Buffer.alloc(512),
      callback: (count: number, array: Uint8Array) => void received.push(array.subarray(0, count)),
    }),
  },
  (onread) => async (net, log, stage) => {
    const received: Uint8Array[] = []
    const sent = bytes(5000)
    const client = await clientOf(net, stage, (socket) => socket.end(sent), { onread: onread(received) })
    logEvents(client, log, QUIET)
    await eventOf(client, 'close')
    log(Buffer.concat(received).equals(sent))
    log(client.bytesRead)
  },
)

onBoth('onread_stops_at_false_and_goes_on_at_resume', async (net, log, stage) => {
  let client!: Socket
  let calls = 0
  let count = 0
  const callback = (length: number) => {
    calls++
    count += length
    setImmediate(() => {
      log(`calls ${calls}`)
      client.resume()
    })
    return false
  }
  client = await clientOf(net, stage, (socket) => socket.end(bytes(300)), {
    onread: { buffer: Buffer.alloc(100), callback },
  })
  logEvents(client, log, QUIET)
  await eventOf(client, 'close')
  log(count)
})

onBoth('onread_stops_at_pause', async (net, log, stage) => {
  let count = 0
  const onread = {
    buffer: Buffer.alloc(100),
    callback(this: Socket, length: number) {
      log(this === client)
      count += length
      client.pause()
      setImmediate(() => client.resume())
    },
  }
  const client: Socket = await clientOf(net, stage, (socket) => socket.end(bytes(300)), { onread })
  await eventOf(client, 'close')
  log(count)
})

eachOnBoth<unknown>(
  'an_incomplete_onread_is_ignored: %s',
  {
    'a buffer that is text': { buffer: 'x', callback() {} },
    'no buffer': { callback() {} },
    'a callback that is an object': { buffer: Buffer.alloc(5), callback: {} },
    null: null,
    undefined,
  },
  (onread) => async (net, log, stage) => {
    const client = await clientOf(net, stage, (socket) => socket.end('hello'), { onread })
    logEvents(client, log, QUIET)
    await eventOf(client, 'close')
  },
)

onBoth('a_paused_stream_gives_nothing_until_it_is_resumed', async (net, log, stage) => {
  const client = await clientOf(net, stage, (socket) => socket.end('hello'))
  logEvents(client, log, QUIET)
  client.pause()
  await eventOf(client, 'connect')
  await new Promise((resolve) => setTimeout(resolve, 20))
  log(`${client.isPaused()} ${client.destroyed}`)
  client.resume()
  await eventOf(client, 'close')
})

onBoth('readable_and_read', async (net, log, stage) => {
  const client = await clientOf(net, stage, (socket) => socket.end('abcdefg'))
  let isSeen = false
  client.on('readable', () => {
    if (client.readableLength > 0 && !isSeen) {
      isSeen = true
      log(String(client.read(3)))
      log(client.readableLength)
    }
    for (let chunk; (chunk = client.read() as Buffer | null) !== null;) log(String(chunk))
  })
  client.on('end', () => log('end'))
  await eventOf(client, 'close')
})

onBoth('an_iterator_gives_the_chunks', async (net, log, stage) => {
  const client = await clientOf(net, stage, (socket) => socket.end('hello'))
  for await (const chunk of client) log(String(chunk))
  log(client.destroyed)
})

onBoth('an_encoding_gives_text', async (net, log, stage) => {
  const client = await clientOf(net, stage, (socket) => socket.end(Buffer.from('zwölf 🙂')))
  client.setEncoding('utf8')
  let text = ''
  client.on('data', (chunk) => (text += chunk))
  await eventOf(client, 'close')
  log(text)
})

eachOnBoth<object>(
  'high_water_marks_are_those_of_the_options: %s',
  {
    none: {},
    one: { highWaterMark: 5 },
    two: { readableHighWaterMark: 3, writableHighWaterMark: 4 },
    all: { highWaterMark: 5, readableHighWaterMark: 3, writableHighWaterMark: 4 },
  },
  (options) => async (net, log, stage) => {
    const client = await clientOf(net, stage, (socket) => socket.end('0123456789'), options)
    log(`${client.readableHighWaterMark} ${client.writableHighWaterMark}`)
    log(`${client.write('abcd')} ${client.writableNeedDrain}`)
    client.resume()
    await eventOf(client, 'close')
    log(client.bytesRead)
  },
)

eachOnBoth<[client: object, server: object]>(
  'an_end_of_the_peer_%s',
  {
    'is answered': [{}, {}],
    'is not answered by the client': [{ allowHalfOpen: true }, {}],
    'is not answered by the server': [{}, { allowHalfOpen: true }],
    'is answered by none': [{ allowHalfOpen: true }, { allowHalfOpen: true }],
  },
  ([clientOptions, serverOptions]) =>
    async (net, log, { server, track }) => {
      let accepted!: (socket: Socket) => void
      const connection = new Promise<Socket>((resolve) => (accepted = resolve))
      const port = portOf(await server((socket) => accepted(socket), serverOptions))
      const client = track(net.connect({ port, host: '127.0.0.1', ...clientOptions } as NetConnectOpts))
      const socket = await connection
      log(`${client.allowHalfOpen} ${socket.allowHalfOpen}`)
      const events: string[] = []
      for (const [name, one] of Object.entries({ client, socket })) {
        one.resume()
        for (const event of ['end', 'finish', 'close']) one.on(event, () => events.push(`${name} ${event}`))
      }
      socket.end('last')
      await eventOf(client, 'end')
      if (client.allowHalfOpen) {
        log(`${client.writable} ${client.readyState}`)
        client.end('an answer')
      }
      await Promise.all([eventOf(client, 'close'), socket.closed || eventOf(socket, 'close')])
      log(events.filter((event) => event.startsWith('client')).join())
      log(events.filter((event) => event.startsWith('socket')).join())
      log(socket.bytesRead)
    },
)

onBoth('pauseOnConnect_leaves_the_input_to_another', async (net, log, { server, track }) => {
  let accepted!: (socket: Socket) => void
  const connection = new Promise<Socket>((resolve) => (accepted = resolve))
  const port = portOf(await server((socket) => accepted(socket), { pauseOnConnect: true }))
  const client = track(net.connect(port, '127.0.0.1'))
  client.end('hello')
  const socket = await connection
  socket.on('data', (chunk) => log(String(chunk)))
  await new Promise((resolve) => setTimeout(resolve, 20))
  log(`${socket.isPaused()} ${socket.bytesRead} ${socket.readableLength}`)
  socket.resume()
  await eventOf(socket, 'end')
})
