import mqtt from 'mqtt'

import { codeOf, ending, event, logOf, sha256 } from './support/outcomes.js'

export const servers = ['mosquitto', 'closed']

const EVENTS = ['connect', 'reconnect', 'close', 'offline', 'end', 'error']

export const steps = {
  'events of connect and end': async (context) => {
    const client = open(context)
    const log = logOf(client, ...EVENTS)
    await event(client, 'connect')
    await client.endAsync()
    return log
  },

  '20 MB in messages of 64 kB': async (context) => exchange(context, 320, 65_536, 0),
  '20 MB in one message': async (context) => exchange(context, 1, 20_000_000, 0),
  '10,000 messages of QoS 1': async (context) => exchange(context, 10_000, 100, 1),
  '2,000 messages of QoS 2': async (context) => exchange(context, 2000, 100, 2),

  'the broker ended in good order, and started again': async (context) => restarted(context, 'stop'),
  'the broker killed, and started again': async (context) => restarted(context, 'kill'),

  'messages of QoS 1 that are published while the broker is gone': async (context) => {
    const [client, publisher] = [open(context, { clean: false, clientId: 'session' }), open(context)]
    await Promise.all([event(client, 'connect'), event(publisher, 'connect')])
    const messages = []
    client.on('message', (topic, payload) => messages.push(String(payload)))
    await client.subscribeAsync('kept', { qos: 1 })
    const closed = Promise.all([event(client, 'close'), event(publisher, 'close')])
    await context.control('mosquitto', 'stop')
    await closed
    const published = ['one', 'two', 'three'].map((text) => publisher.publishAsync('kept', text, { qos: 1 }))
    await context.control('mosquitto', 'start')
    await Promise.all(published)
    while (messages.length < 3) await event(client, 'message')
    await client.unsubscribeAsync('kept')
    await Promise.all([client.endAsync(), publisher.endAsync()])
    return messages
  },

  'a second client of the same name: the broker closes the first one': async (context) => {
    const first = open(context, { clientId: 'name', reconnectPeriod: 0 })
    const log = logOf(first, ...EVENTS)
    await event(first, 'connect')
    const closed = event(first, 'close')
    const second = open(context, { clientId: 'name' })
    await Promise.all([event(second, 'connect'), closed])
    await Promise.all([first.endAsync(), second.endAsync()])
    return log
  },

  'a keepalive that is answered': async (context) => {
    const client = open(context, { keepalive: 1, reschedulePings: false })
    await event(client, 'connect')
    const pings = []
    client.on('packetsend', ({ cmd }) => pings.push(cmd))
    client.on('packetreceive', ({ cmd }) => pings.push(cmd))
    while (!pings.includes('pingresp')) await event(client, 'packetreceive')
    await client.endAsync()
    return pings.slice(0, 2)
  },

  'end(true) with messages under way': async (context) => {
    const client = open(context)
    await event(client, 'connect')
    const published = ending(client.publishAsync('topic', Buffer.alloc(5_000_000), { qos: 1 }))
    await client.endAsync(true)
    const { connected } = client
    return {
      connected,
      published: await Promise.race([published, new Promise((resolve) => setTimeout(resolve, 50, 'open'))]),
    }
  },

  'a refused connect': async ({ servers: { closed } }) => failed({ host: closed.host, port: closed.refused }),

  'a connect that takes too long': async ({ servers: { closed } }) =>
    failed({ host: closed.host, port: closed.blackhole, connectTimeout: 200 }),
}

function open({ servers: { mosquitto } }, options) {
  const client = mqtt.connect({ ...mosquitto, protocol: 'mqtt', reconnectPeriod: 50, ...options })
  client.on('error', () => {})
  return client
}

async function exchange(context, count, size, qos) {
  const client = open(context)
  await event(client, 'connect')
  await client.subscribeAsync('topic', { qos })
  const [sent, received] = [sha256(), sha256()]
  let [messages, bytes] = [0, 0]
  client.on('message', (topic, payload) => {
    messages++
    bytes += payload.length
    received.update(payload)
  })
  let last
  for (let n = 0; n < count; n++) {
    const payload = Buffer.alloc(size, `message ${n}, `)
    sent.update(payload)
    last = client.publishAsync('topic', payload, { qos })
    if (n % 100 === 0) await last
  }
  await last
  while (messages < count) await event(client, 'message')
  await client.endAsync()
  return { messages, bytes, same: sent.digest('hex') === received.digest('hex') }
}

async function restarted(context, how) {
  const client = open(context)
  const log = logOf(client, 'connect', 'close', 'offline', 'end')
  const errors = new Set()
  client.on('error', (error) => errors.add(codeOf(error)))
  await event(client, 'connect')
  await client.subscribeAsync('topic', { qos: 1 })
  const closed = event(client, 'close')
  await context.control('mosquitto', how)
  await closed
  while (errors.size === 0) await event(client, 'error')
  const events = log.slice(0, 3)
  const connected = event(client, 'connect')
  await context.control('mosquitto', 'start')
  await connected
  const message = event(client, 'message')
  await client.publishAsync('topic', 'after', { qos: 1 })
  const [, payload] = await message
  await client.endAsync()
  return { events, errors: [...errors], payload: String(payload) }
}

async function failed(options) {
  const client = mqtt.connect({ ...options, protocol: 'mqtt', reconnectPeriod: 0 })
  const log = logOf(client, ...EVENTS)
  const errors = []
  client.on('error', (error) => errors.push(codeOf(error)))
  await event(client, 'close')
  await client.endAsync()
  return { errors, log }
}
