import { Redis } from 'ioredis'

import { ending, event, logOf, sha256 } from './support/outcomes.js'

export const servers = ['redis', 'closed']

const EVENTS = ['connect', 'ready', 'error', 'close', 'reconnecting', 'end']

const open = ({ servers: { redis } }, options) =>
  new Redis({ ...redis, connectionName: 'client', retryStrategy: () => 20, ...options })

export const steps = {
  'events of connect, ready and quit': async (context) => {
    const client = open(context)
    const log = logOf(client, ...EVENTS)
    const pong = await client.ping()
    const quit = await client.quit()
    await event(client, 'end')
    return { pong, quit, log }
  },

  '100,000 pipelined commands': async (context) => {
    const client = open(context)
    await client.flushall()
    const hash = sha256()
    for (let batch = 0; batch < 10; batch++) {
      const pipeline = client.pipeline()
      for (let index = 0; index < 10_000; index++) pipeline.incrby('counter', index % 7)
      for (const [error, value] of await pipeline.exec()) hash.update(`${error ?? value},`)
    }
    const counter = await client.get('counter')
    await client.quit()
    return { counter, hash: hash.digest('hex') }
  },

  'a value of 20 MB, both ways': async (context) => {
    const client = open(context)
    const value = Buffer.alloc(20_000_000, 'a value of many bytes, ')
    await client.set('large', value)
    const back = await client.getBuffer('large')
    const same = back.equals(value)
    await client.quit()
    return { same, length: back.length }
  },

  'BLPOP cut by CLIENT KILL, and its reconnect': async (context) => {
    const other = open(context, { connectionName: 'other' })
    const client = open(context, { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false })
    const log = logOf(client, ...EVENTS)
    await event(client, 'ready')
    const popped = ending(client.blpop('empty', 0))
    const killed = await kill(other, 'client')
    const outcome = await popped
    await event(client, 'ready')
    const pong = await client.ping()
    await Promise.all([client.quit(), other.quit()])
    return { killed, outcome, pong, log }
  },

  'a blocked command that is sent again after the reconnect': async (context) => {
    const other = open(context, { connectionName: 'other' })
    const client = open(context)
    await event(client, 'ready')
    const popped = client.blpop('queue', 0)
    await kill(other, 'client')
    await event(client, 'ready')
    await other.rpush('queue', 'value')
    const value = await popped
    await Promise.all([client.quit(), other.quit()])
    return value
  },

  'subscribe, and subscribed again after CLIENT KILL': async (context) => {
    const publisher = open(context, { connectionName: 'publisher' })
    const client = open(context)
    const messages = []
    client.on('message', (channel, message) => messages.push(`${channel}: ${message}`))
    const subscriptions = await client.subscribe('one', 'two')
    await publisher.publish('one', 'first')
    await kill(publisher, 'client')
    await event(client, 'ready')
    while ((await publisher.publish('two', 'second')) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    while (messages.length < 2) await event(client, 'message')
    await Promise.all([client.quit(), publisher.quit()])
    return { subscriptions, messages }
  },

  'the server restarted while the client is idle': async (context) => {
    const client = open(context)
    await event(client, 'ready')
    const errors = []
    client.on('error', ({ code }) => errors.push(code))
    const closed = event(client, 'close')
    await context.control('redis', 'kill')
    await closed
    await event(client, 'error')
    const pong = client.ping()
    await context.control('redis', 'start')
    const outcome = await pong
    await client.quit()
    return { refused: errors[0], outcome }
  },

  'disconnect with commands under way': async (context) => {
    const client = open(context)
    await event(client, 'ready')
    const popped = ending(client.blpop('empty', 0))
    const ended = event(client, 'end')
    client.disconnect()
    await ended
    return popped
  },

  'a refused connect': async ({ servers: { closed } }) => {
    const client = new Redis({ host: closed.host, port: closed.refused, lazyConnect: true, retryStrategy: null })
    const errors = []
    client.on('error', ({ code, syscall }) => errors.push({ code, syscall }))
    return { outcome: await ending(client.connect()), errors }
  },

  'a connect that takes too long': async ({ servers: { closed } }) => {
    const client = new Redis({
      host: closed.host,
      port: closed.blackhole,
      connectTimeout: 200,
      lazyConnect: true,
      retryStrategy: null,
    })
    const log = logOf(client, ...EVENTS)
    const errors = []
    client.on('error', ({ code, syscall }) => errors.push({ code, syscall }))
    return { outcome: await ending(client.connect()), errors, log }
  },
}

/** Ends the connections of that name by CLIENT KILL; resolves with how many. */
async function kill(client, name) {
  const list = await client.client('LIST')
  const ids = list
    .split('\n')
    .filter((line) => line.includes(` name=${name} `))
    .map((line) => /^id=(\d+)/.exec(line)[1])
  let killed = 0
  for (const id of ids) killed += await client.client('KILL', 'ID', id)
  return killed
}
