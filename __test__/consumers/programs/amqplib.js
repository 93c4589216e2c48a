import amqp from 'amqplib'

import { codeOf, ending, event, logOf, sha256 } from './support/outcomes.js'

export const servers = ['rabbitmq', 'closed']

export const steps = {
  'publish and consume 10,000 messages': async (context) => {
    const client = await open(context)
    const channel = await client.createChannel()
    const queue = await queueOf(channel)
    const [sent, received] = [sha256(), sha256()]
    let messages = 0
    const all = new Promise((resolve) => {
      void channel.consume(queue, (message) => {
        received.update(message.content)
        channel.ack(message)
        if (++messages === 10_000) resolve()
      })
    })
    for (let n = 0; n < 10_000; n++) {
      const content = Buffer.from(`message ${n}`)
      sent.update(content)
      if (!channel.sendToQueue(queue, content)) await event(channel, 'drain')
    }
    await all
    await channel.close()
    await client.close()
    return { messages, same: sent.digest('hex') === received.digest('hex') }
  },

  'confirmed messages of 20 MB in all': async (context) => {
    const client = await open(context)
    const channel = await client.createConfirmChannel()
    const queue = await queueOf(channel)
    const content = Buffer.alloc(1_000_000, 'a message of many bytes, ')
    for (let n = 0; n < 20; n++) channel.sendToQueue(queue, content)
    await channel.waitForConfirms()
    let same = 0
    for (let n = 0; n < 20; n++) same += (await channel.get(queue, { noAck: true })).content.equals(content) ? 1 : 0
    const empty = await channel.get(queue)
    await client.close()
    return { same, empty }
  },

  'a channel that is closed': async (context) => {
    const client = await open(context)
    const log = logOf(client, 'error', 'close')
    const channel = await client.createChannel()
    const queue = await queueOf(channel)
    await channel.close()
    let outcome
    try {
      channel.sendToQueue(queue, Buffer.from('late'))
    } catch (error) {
      outcome = codeOf(error)
    }
    const other = await client.createChannel()
    const { queue: found } = await other.checkQueue(queue)
    await client.close()
    return { outcome, same: found === queue, log }
  },

  'a channel that the broker closes': async (context) => {
    const client = await open(context)
    const log = logOf(client, 'error', 'close')
    const channel = await client.createChannel()
    const failed = event(channel, 'error')
    const outcome = await ending(channel.checkQueue('a queue that is not there'))
    const [{ code }] = await failed
    const other = await client.createChannel()
    await other.close()
    await client.close()
    return { outcome, code, log }
  },

  'a connection that the broker closes': async (context) => {
    const client = await open(context)
    const log = logOf(client, 'error', 'close')
    const channel = await client.createChannel()
    const closed = event(client, 'close')
    await context.control('rabbitmq', 'closeConnections')
    const [error] = await closed
    let next
    try {
      channel.sendToQueue('queue', Buffer.from('late'))
    } catch (thrown) {
      next = codeOf(thrown)
    }
    return { closed: error?.code ?? null, next, log }
  },

  'heartbeats keep an idle connection open': async (context) => {
    const client = await open(context, { heartbeat: 1 })
    const log = logOf(client, 'error', 'close')
    await new Promise((resolve) => setTimeout(resolve, 2500))
    const channel = await client.createChannel()
    await queueOf(channel)
    await client.close()
    return log
  },

  'a wrong password': async (context) => ending(open(context, { password: 'wrong' })),

  'a refused connect': async ({ servers: { closed } }) =>
    ending(amqp.connect({ protocol: 'amqp', hostname: closed.host, port: closed.refused })),

  'a connect that takes too long': async ({ servers: { closed } }) =>
    ending(amqp.connect({ protocol: 'amqp', hostname: closed.host, port: closed.blackhole }, { timeout: 200 })),
}

async function open({ servers: { rabbitmq } }, options) {
  const client = await amqp.connect({
    protocol: 'amqp',
    hostname: rabbitmq.host,
    port: rabbitmq.port,
    username: 'guest',
    password: 'guest',
    ...options,
  })
  client.on('error', () => {})
  return client
}

async function queueOf(channel) {
  const { queue } = await channel.assertQueue('', { exclusive: true })
  return queue
}
