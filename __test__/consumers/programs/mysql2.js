import { once } from 'node:events'
import { readFileSync } from 'node:fs'

import mysql from 'mysql2'

import { codeOf, ending, event, logOf, sha256 } from './support/outcomes.js'

export const servers = ['mariadb', 'closed']

// No 'end': over TLS it is the event of the stream beneath, which Node's net does not have then.
const EVENTS = ['connect', 'error']

const settings = ({ servers: { mariadb } }) => ({
  host: mariadb.host,
  port: mariadb.port,
  user: 'root',
  database: 'mysql',
})
const secure = (context) => ({ ...settings(context), ssl: { ca: readFileSync(context.servers.mariadb.cert) } })

/** Rows of 1,024 bytes. */
const ROWS = (count) => `select seq, repeat(md5(seq), 32) as text from seq_1_to_${count}`

export const steps = {
  'queries, and the events of end()': async (context) => {
    const { client, log, closed } = open(settings(context))
    const [rows] = await client.promise().query('select 1 + 1 as sum, ? as text, ? as bytes', ['a', Buffer.from('b')])
    const wrong = await ending(client.promise().query('select nothing'))
    const both = await Promise.all(['one', 'two'].map((text) => client.promise().query('select ? as text', [text])))
    await client.promise().end()
    await closed
    return { rows, wrong, both: both.map(([[{ text }]]) => text), log }
  },

  '2,000 prepared statements': async (context) => {
    const { client } = open(settings(context))
    const session = client.promise()
    await session.query('create temporary table numbers (n int)')
    for (let n = 0; n < 1000; n++) await session.execute('insert into numbers values (?)', [n])
    let sum = 0
    for (let n = 0; n < 1000; n++) {
      const [rows] = await session.execute('select n from numbers where n = ?', [n])
      sum += rows[0].n
    }
    await session.end()
    return sum
  },

  '50 MB of rows': async (context) => rowsBy(settings(context), 50_000),

  '50 MB of rows, as a stream that is read slowly': async (context) => {
    const { client } = open(settings(context))
    const hash = sha256()
    let received = 0
    for await (const { seq, text } of client.query(ROWS(50_000)).stream({ highWaterMark: 5 })) {
      if (++received % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
      hash.update(`${seq}${text}`)
    }
    await client.promise().end()
    return { received, hash: hash.digest('hex') }
  },

  'a parameter of 15 MB, and back': async (context) => {
    const { client } = open(settings(context))
    const value = Buffer.alloc(15_000_000, 'a value of many bytes, ')
    const [[{ back, length }]] = await client.promise().query('select ? as back, length(?) as length', [value, value])
    await client.promise().end()
    return { same: value.equals(Buffer.from(back)), length }
  },

  'by a Unix path': async (context) =>
    rowsBy({ user: 'root', database: 'mysql', socketPath: `${context.servers.mariadb.folder}/socket` }, 5000),

  'SSL: 10 MB of rows': async (context) => {
    const { client } = open(secure(context))
    const [rows] = await client.promise().query("show status like 'Ssl_version'")
    await client.promise().end()
    return { version: rows[0].Value, ...(await rowsBy(secure(context), 10_000)) }
  },

  'SSL: a certificate that is not trusted': async (context) => {
    const { client, errors } = open({ ...settings(context), ssl: {} })
    const outcome = await ending(client.promise().query('select 1'))
    client.destroy()
    return { outcome, errors }
  },

  'KILL in mid-query': async (context) => killed(context, settings(context), 'select sleep(30)'),
  'KILL of an idle client': async (context) => killed(context, settings(context)),
  'SSL: KILL in mid-query': async (context) => killed(context, secure(context), 'select sleep(30)'),
  'SSL: KILL of an idle client': async (context) => killed(context, secure(context)),

  'the server killed in mid-query': async (context) => {
    const { client, errors, log, closed } = open(settings(context))
    const id = await idOf(client)
    const query = ending(client.promise().query('select sleep(30)'))
    await isIn(context, id, 'Query')
    await context.control('mariadb', 'kill')
    const outcome = await query
    await closed
    const next = await ending(client.promise().query('select 1'))
    await context.control('mariadb', 'start')
    return { outcome, next, errors, log }
  },

  'the server killed while the client is idle': async (context) => {
    const { client, errors, log, closed } = open(settings(context))
    await idOf(client)
    await context.control('mariadb', 'kill')
    await closed
    const next = await ending(client.promise().query('select 1'))
    await context.control('mariadb', 'start')
    return { next, errors, log }
  },

  'the server killed under a pool, and started again': async (context) => {
    const pool = mysql.createPool({ ...settings(context), connectionLimit: 3 }).promise()
    const before = await Promise.all([1, 2, 3].map((n) => pool.query('select ? as n, sleep(0.05)', [n])))
    await context.control('mariadb', 'kill')
    const refused = await ending(refusedBy(pool))
    await context.control('mariadb', 'start')
    const [rows] = await pool.query('select 1 as one')
    const end = await ending(pool.end())
    return { before: before.map(([[{ n }]]) => n), refused, rows, end }
  },

  'a pool reuses its connections': async (context) => {
    const pool = mysql.createPool({ ...settings(context), connectionLimit: 4 })
    const log = logOf(pool, 'connection')
    const ids = new Set()
    await Promise.all(
      Array.from({ length: 200 }, async () => {
        const [[{ id }]] = await pool.promise().query('select connection_id() as id')
        ids.add(id)
      }),
    )
    await pool.promise().end()
    return { connections: ids.size, log }
  },

  'end() behind queries under way': async (context) => {
    const { client, log, closed } = open(settings(context))
    const queries = [1, 2, 3].map((n) => ending(client.promise().query('select sleep(0.02), ?', [n])))
    const end = await ending(client.promise().end())
    await closed
    return { end, queries: await Promise.all(queries), log }
  },

  'destroy() with a query under way': async (context) => {
    const { client, log, closed } = open(settings(context))
    const id = await idOf(client)
    client.query('select sleep(30)', () => log.push('the callback of the query'))
    await isIn(context, id, 'Query')
    client.destroy()
    await closed
    await kill(context, id)
    return log
  },

  'a refused connect': async ({ servers: { closed } }) => {
    const { client, errors, log } = open({ host: closed.host, port: closed.refused, user: 'root' })
    return { outcome: await ending(client.promise().query('select 1')), errors, log }
  },

  'a connect that takes too long': async ({ servers: { closed } }) => {
    const { client, errors, log } = open({
      host: closed.host,
      port: closed.blackhole,
      user: 'root',
      connectTimeout: 200,
    })
    return { outcome: await ending(client.promise().query('select 1')), errors, log }
  },

  'a host that has no address': async () => {
    const { client } = open({ host: 'host.invalid', port: 1, user: 'root' })
    return ending(client.promise().query('select 1'))
  },
}

function open(options) {
  const client = mysql.createConnection(options)
  const errors = []
  client.on('error', (error) => errors.push(codeOf(error)))
  return { client, errors, log: logOf(client, ...EVENTS), closed: event(client.stream, 'close') }
}

async function idOf(client) {
  const [[{ id }]] = await client.promise().query('select connection_id() as id')
  return id
}

async function rowsBy(options, count) {
  const { client } = open(options)
  const hash = sha256()
  let [received, bytes] = [0, 0]
  const query = client.query(ROWS(count))
  query.on('result', ({ seq, text }) => {
    received++
    bytes += text.length
    hash.update(`${seq}${text}`)
  })
  await once(query, 'end')
  await client.promise().end()
  return { received, bytes, hash: hash.digest('hex') }
}

async function killed(context, options, text) {
  const { client, errors, log, closed } = open(options)
  const id = await idOf(client)
  const query = text && ending(client.promise().query(text))
  await isIn(context, id, text ? 'Query' : 'Sleep')
  await kill(context, id)
  const outcome = await query
  await closed
  return { outcome: outcome ?? null, errors, log, next: await ending(client.promise().query('select 1')) }
}

async function kill(context, id) {
  const { client } = open(settings(context))
  const outcome = await ending(client.promise().query(`kill ${id}`))
  await client.promise().end()
  return outcome
}

/** Waits until a connection does what the process list says: `Query` or `Sleep`. */
async function isIn(context, id, command) {
  const { client } = open(settings(context))
  const text = 'select 1 from information_schema.processlist where id = ? and command = ?'
  let rows = []
  do [rows] = await client.promise().query(text, [id, command])
  while (rows.length === 0)
  await client.promise().end()
}

/** Connections that were open may fail first with how they ended. */
async function refusedBy(pool) {
  for (;;) {
    try {
      await pool.query('select 1')
    } catch (error) {
      if (error.code === 'ECONNREFUSED') throw error
    }
  }
}
