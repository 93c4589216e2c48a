import { Buffer } from 'node:buffer'

import { eachOnBoth, errorText, eventOf, logEvents, onBoth, portOf, thrownBy } from '../support/both-nets.js'

onBoth('bytesWritten_counts_what_waits_for_the_connection', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server((socket) => socket.end())), '127.0.0.1'))
  log(client.bytesWritten)
  client.cork()
  client.write('one')
  client.write(Buffer.from('twø'))
  client.write('7477c3b8', 'hex')
  log(client.bytesWritten)
  client.uncork()
  log(client.bytesWritten)
  await eventOf(client, 'connect')
  log(client.bytesWritten)
  await eventOf(client, 'end')
  log(client.bytesWritten)
  client.destroy()
  log(client.bytesWritten)
  await eventOf(client, 'close')
  log(client.bytesWritten)
})

onBoth('bytesWritten_is_undefined_on_the_prototype_and_0_on_a_new_socket', (net, log) => {
  log(String(net.Socket.prototype.bytesWritten))
  const socket = new net.Socket()
  log(`${socket.bytesWritten} ${socket.bytesRead} ${socket.bufferSize}`)
})

onBoth('bufferSize_and_writableLength_count_writes_before_the_connection', async (net, log, { server, track }) => {
  const listening = await server((socket) => socket.resume())
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  for (let i = 0; i < 5; i++) {
    client.write('ab')
    log(`${client.bufferSize} ${client.writableLength}`)
  }
  client.end()
  await eventOf(client, 'finish')
  log(`${client.bufferSize} ${client.writableLength}`)
})

onBoth('callbacks_of_writes_run_in_order_before_finish_and_close', async (net, log, { server, track }) => {
  const listening = await server((socket) => socket.resume())
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  logEvents(client, log, { port: portOf(listening), without: ['drain'] })
  client.write('first', () => log('written 1'))
  client.write('', () => log('written 2'))
  client.write(new Uint8Array([1, 2]), () => log('written 3'))
  client.end('last', () => log('ended'))
  await eventOf(client, 'close')
})

onBoth('the_callback_of_a_write_on_an_open_socket_comes_after_the_call', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server((socket) => socket.resume())), '127.0.0.1'))
  await eventOf(client, 'connect')
  await new Promise<void>((resolve) => {
    log(client.write('text', () => (log('written'), resolve())))
    log('called')
  })
})

eachOnBoth<unknown>(
  'a_write_of_%s_throws_as_in_node_and_harms_nothing',
  { null: null, undefined, 'a number': 7, 'an array': [], 'an object': {}, 'a function': () => {}, true: true },
  (data) =>
    async (net, log, { server, track }) => {
      const client = track(net.connect(portOf(await server((socket) => void socket.pipe(socket))), '127.0.0.1'))
      log(thrownBy(() => client.write(data as string)))
      log(client.destroyed)
      client.write('still here')
      log(String((await eventOf(client, 'data'))[0]))
    },
)

eachOnBoth<(write: (text: string, encoding: BufferEncoding) => boolean) => void>(
  'encodings_of_writes_are_those_of_buffers: %s',
  {
    hex: (write) => write('c3b8ff', 'hex'),
    base64: (write) => write('w7j/', 'base64'),
    base64url: (write) => write('w7j_', 'base64url'),
    latin1: (write) => write('øÿ', 'latin1'),
    binary: (write) => write('øÿ', 'binary'),
    ascii: (write) => write('abc', 'ascii'),
    utf16le: (write) => write('aø', 'utf16le'),
    utf8: (write) => write('aø\u{1f600}', 'utf8'),
  },
  (act) =>
    async (net, log, { server, track }) => {
      const received: Buffer[] = []
      let peerEnded = (): void => {}
      const listening = await server((socket) => {
        socket.on('data', (chunk) => received.push(chunk)).on('end', () => peerEnded())
      })
      const client = track(net.connect(portOf(listening), '127.0.0.1'))
      const whole = new Promise<void>((resolve) => (peerEnded = resolve))
      act((text, encoding) => client.write(text, encoding))
      log(client.bytesWritten)
      client.end()
      await whole
      log(Buffer.concat(received).toString('hex'))
      log(client.bytesWritten)
    },
)

onBoth('an_unknown_encoding_of_a_write_throws', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  log(thrownBy(() => client.write('a', 'utf-9' as BufferEncoding)))
})

onBoth('a_write_after_end_is_refused_with_ERR_STREAM_WRITE_AFTER_END', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  logEvents(client, log, { without: ['lookup', 'connectionAttempt'] })
  await eventOf(client, 'connect')
  client.end()
  log(client.write('late', (error) => log(`callback ${errorText(error)}`)))
  log('called')
  await eventOf(client, 'close')
})

onBoth('a_write_after_the_FIN_of_the_peer_fails_with_EPIPE_in_a_later_tick', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server((socket) => socket.end())), '127.0.0.1'))
  logEvents(client, log, { without: ['lookup', 'connectionAttempt'] })
  client.once('end', () => {
    log(client.write('late', (error) => log(`callback ${errorText(error)}`)))
    log('called')
  })
  client.resume()
  await eventOf(client, 'close')
})

onBoth('a_half_open_socket_still_writes_after_the_FIN_of_the_peer', async (net, log, { server, track }) => {
  let received!: (text: string) => void
  const all = new Promise<string>((resolve) => (received = resolve))
  const listening = await server(
    (socket) => {
      let text = ''
      socket.setEncoding('utf8')
      socket.on('data', (chunk) => (text += chunk)).on('end', () => received(text))
      socket.end('bye')
    },
    { allowHalfOpen: true },
  )
  const client = track(net.connect({ port: portOf(listening), host: '127.0.0.1', allowHalfOpen: true }))
  client.resume()
  await eventOf(client, 'end')
  log(`${client.writable} ${client.readyState}`)
  client.end('late')
  log(await all)
})

onBoth('a_write_to_a_socket_that_was_never_connected_fails', async (net, log, { track }) => {
  const socket = track(new net.Socket())
  logEvents(socket, log)
  log(socket.write('a', (error) => log(`callback ${errorText(error)}`)))
  await eventOf(socket, 'close')
})

onBoth('a_write_after_destroy_fails_in_its_callback', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  await eventOf(client, 'connect')
  logEvents(client, log)
  client.destroy()
  log(client.write('a', (error) => log(`callback ${errorText(error)}`)))
  await eventOf(client, 'close')
})

onBoth('writes_that_wait_for_the_connection_fail_when_it_is_destroyed', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server()), '127.0.0.1'))
  logEvents(client, log, { without: ['lookup', 'connectionAttempt'] })
  client.write('a', (error) => log(`1 ${errorText(error)}`))
  client.write('b', (error) => log(`2 ${errorText(error)}`))
  client.end('c', (error?: Error) => log(`3 ${errorText(error)}`))
  client.destroy()
  await eventOf(client, 'close')
})

onBoth('writes_that_the_peer_does_not_read_fail_when_the_socket_is_destroyed', async (net, log, { server, track }) => {
  const client = track(net.connect(portOf(await server((socket) => socket.pause())), '127.0.0.1'))
  await eventOf(client, 'connect')
  logEvents(client, log)
  log(client.write(Buffer.alloc(64_000_000), (error) => log(`1 ${errorText(error)}`)))
  log(client.write('b', (error) => log(`2 ${errorText(error)}`)))
  log(client.writableNeedDrain)
  client.destroy(new Error('enough'))
  await eventOf(client, 'close')
  await new Promise((resolve) => setImmediate(resolve))
})

onBoth('write_says_false_from_the_high_water_mark_on_and_drain_follows', async (net, log, { server, track }) => {
  const listening = await server((socket) => socket.resume())
  const client = track(
    net.connect({ port: portOf(listening), host: '127.0.0.1', writableHighWaterMark: 10 } as never as { port: number }),
  )
  log(client.writableHighWaterMark)
  client.on('drain', () => log('drain'))
  log(client.write('12345'))
  log(client.write('67890'))
  await eventOf(client, 'drain')
  log(client.writableLength)
})

onBoth('a_big_write_arrives_whole_and_counts_at_once', async (net, log, { server, track }) => {
  let count = 0
  const listening = await server((socket) => {
    socket.on('data', (chunk) => (count += chunk.length)).on('end', () => socket.end())
  })
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  client.resume()
  await eventOf(client, 'connect')
  client.end('x'.repeat(5_000_000))
  log(client.bytesWritten)
  await eventOf(client, 'close')
  log(`${count} ${client.bytesWritten}`)
})

onBoth('corked_writes_arrive_in_order', async (net, log, { server, track }) => {
  const chunks: Buffer[] = []
  const listening = await server((socket) => {
    socket.on('data', (chunk) => chunks.push(chunk)).on('end', () => socket.end())
  })
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  client.resume()
  await eventOf(client, 'connect')
  client.cork()
  client.write('a')
  client.write('62', 'hex')
  client.write(Buffer.from('c'), () => log('written c'))
  log(`${client.writableLength} ${client.writableCorked} ${client.bytesWritten}`)
  client.uncork()
  client.end('d')
  await eventOf(client, 'close')
  log(Buffer.concat(chunks).toString())
})
