import { eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'

onBoth('a_client_that_connects_writes_and_ends_gets_its_events_in_order', async (net, log, { server, track }) => {
  const listening = await server((socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
  })
  const client = track(net.connect(portOf(listening), '127.0.0.1'))
  logEvents(client, log, { port: portOf(listening) })
  client.once('data', () => client.end())
  client.write('hello')
  await eventOf(client, 'close')
})

onBoth('connect_data_and_end_can_be_awaited_one_after_the_other', async (net, log, { server, track }) => {
  for (let i = 0; i < 20; i++) {
    const client = track(net.connect(portOf(await server((socket) => socket.end('bye'))), '127.0.0.1'))
    await eventOf(client, 'connect')
    log('connect')
    log(String((await eventOf(client, 'data'))[0]))
    await eventOf(client, 'end')
    log('end')
  }
})
