import { readFileSync } from 'node:fs'

import pg from 'pg'

import { codeOf, ending, event, logOf, sha256 } from './support/outcomes.js'

export const servers = ['postgres', 'closed']

const EVENTS = ['notice', 'error', 'end']

const settings = ({ servers: { postgres } }) => ({ host: postgres.host, port: postgres.port, user: 'postgres' })
const secure = (context) => ({
  ...settings(context),
  ssl: { ca: readFileSync(context.servers.postgres.cert), servername: 'localhost' },
})

/** Rows of 1,024 bytes. */
const ROWS = 'select i, repeat(md5(i::text), 32) as text from generate_series(1, $1::int) i'

export const steps = {
  'queries, and the events of end()': async (context) => {
    const client = await open(settings(context))
    const log = logOf(client, ...EVENTS)
    const { rows } = await client.query('select 1 + 1 as sum, now() > $1 as later, $2::text[] as texts', [
      new Date(0),
      ['a', 'b'],
    ])
    const wrong = await ending(client.query('select nothing'))
    const after = (await client.query("select 'as before' as text")).rows
    await client.end()
    return { rows, wrong, after, log }
  },

  '2,000 prepared statements': async (context) => {
    const client = await open(settings(context))
    await client.query('create temporary table numbers (n int)')
    for (let n = 0; n < 1000; n++)
      await client.query({ name: 'insert', text: 'insert into numbers values ($1)', values: [n] })
    let sum = 0
    for (let n = 0; n < 1000; n++) {
      const { rows } = await client.query({ name: 'get', text: 'select n from numbers where n = $1', values: [n] })
      sum += rows[0].n
    }
    const { rows } = await client.query('select count(*) from pg_prepared_statements')
    await client.end()
    return { sum, rows }
  },

  '50 MB of rows': async (context) => rowsBy(settings(context), 50_000),

  'a parameter of 20 MB, and back': async (context) => {
    const client = await open(settings(context))
    const value = Buffer.alloc(20_000_000, 'a value of many bytes, ')
    const { rows } = await client.query('select $1::bytea as value', [value])
    await client.end()
    return rows[0].value.equals(value)
  },

  notifications: async (context) => {
    const [client, other] = [await open(settings(context)), await open(settings(context))]
    const payloads = []
    client.on('notification', ({ payload }) => payloads.push(payload))
    await client.query('listen channel')
    for (let n = 0; n < 100; n++) await other.query(`notify channel, '${n}'`)
    while (payloads.length < 100) await event(client, 'notification')
    await Promise.all([client.end(), other.end()])
    return payloads.join()
  },

  'by a Unix path': async (context) => rowsBy({ ...settings(context), host: context.servers.postgres.folder }, 5000),

  'SSL: 10 MB of rows': async (context) => {
    const client = await open(secure(context))
    const { rows } = await client.query('select ssl, version from pg_stat_ssl where pid = pg_backend_pid()')
    await client.end()
    return { ...rows[0], ...(await rowsBy(secure(context), 10_000)) }
  },

  'SSL: a certificate that is not trusted': async (context) =>
    ending(open({ ...settings(context), ssl: { servername: 'localhost' } })),

  'SSL: a server process killed in mid-query': async (context) => killed(context, secure(context)),

  'a server process killed in mid-query': async (context) => killed(context, settings(context)),

  'a server process killed while the client is idle': async (context) => {
    const client = await open(settings(context))
    const { pid, errors, log } = await watched(client)
    const ended = event(client, 'end')
    await context.control('postgres', 'killBackend', pid)
    await ended
    return { errors, log, next: await ending(client.query('select 1')), end: await ending(client.end()) }
  },

  'pg_terminate_backend in mid-query': async (context) => {
    const client = await open(settings(context))
    const { pid, errors, log } = await watched(client)
    const query = ending(client.query('select pg_sleep(30)'))
    const ended = event(client, 'end')
    const rows = await terminate(context, pid, 'active')
    const outcome = await query
    await ended
    return { rows, outcome, errors, log }
  },

  'pg_terminate_backend of an idle client': async (context) => {
    const client = await open(settings(context))
    const { pid, errors, log } = await watched(client)
    const ended = event(client, 'end')
    const rows = await terminate(context, pid, 'idle')
    await ended
    return { rows, errors, log }
  },

  'a server shut down under a pool, and started again': async (context) => {
    const pool = new pg.Pool({ ...settings(context), max: 3 })
    const errors = []
    pool.on('error', (error) => errors.push(codeOf(error)))
    const texts = await Promise.all([1, 2, 3].map((n) => pool.query('select pg_sleep(0.05), $1 as text', [`${n}`])))
    await context.control('postgres', 'kill')
    while (pool.totalCount > 0) await event(pool, 'remove')
    const refused = await ending(pool.query('select 1'))
    await context.control('postgres', 'start')
    const { rows } = await pool.query('select 1 as one')
    await pool.end()
    return { texts: texts.map((result) => result.rows[0].text), errors, refused, rows }
  },

  'a pool reuses its connections': async (context) => {
    const pool = new pg.Pool({ ...settings(context), max: 4 })
    const pids = new Set()
    const log = logOf(pool, 'connect', 'remove')
    await Promise.all(
      Array.from({ length: 200 }, async () => {
        const { rows } = await pool.query('select pg_backend_pid() as pid')
        pids.add(rows[0].pid)
      }),
    )
    await pool.end()
    return { connections: pids.size, log }
  },

  'an idle client of a pool is removed after its time': async (context) => {
    const pool = new pg.Pool({ ...settings(context), idleTimeoutMillis: 50, allowExitOnIdle: false })
    await pool.query('select 1')
    await event(pool, 'remove')
    const left = pool.totalCount
    await pool.end()
    return left
  },

  'end() with a query under way': async (context) => {
    const client = await open(settings(context))
    const query = ending(client.query('select pg_sleep(0.02)'))
    return { end: await ending(client.end()), query: await query }
  },

  'a query that takes too long': async (context) => {
    const client = await open({ ...settings(context), query_timeout: 100 })
    const outcome = await ending(client.query('select pg_sleep(0.5)'))
    await client.end()
    return outcome
  },

  'a refused connect': async ({ servers: { closed } }) =>
    ending(open({ host: closed.host, port: closed.refused, user: 'postgres' })),

  'a connect that takes too long': async ({ servers: { closed } }) =>
    ending(open({ host: closed.host, port: closed.blackhole, user: 'postgres', connectionTimeoutMillis: 200 })),

  'a host that has no address': async () => ending(open({ host: 'host.invalid', port: 1, user: 'postgres' })),
}

async function open(options) {
  const client = new pg.Client(options)
  client.on('error', () => {})
  await client.connect()
  return client
}

async function watched(client) {
  const errors = []
  client.on('error', (error) => errors.push(codeOf(error)))
  const log = logOf(client, ...EVENTS)
  const { rows } = await client.query('select pg_backend_pid() as pid')
  return { pid: rows[0].pid, errors, log }
}

async function rowsBy(options, count) {
  const client = await open(options)
  const hash = sha256()
  const query = client.query(new pg.Query({ text: ROWS, values: [count] }))
  let [received, bytes] = [0, 0]
  query.on('row', ({ i, text }) => {
    received++
    bytes += text.length
    hash.update(`${i}${text}`)
  })
  await event(query, 'end')
  await client.end()
  return { received, bytes, hash: hash.digest('hex') }
}

async function killed(context, options) {
  const client = await open(options)
  const { pid, errors, log } = await watched(client)
  const query = ending(client.query('select pg_sleep(30)'))
  const ended = event(client, 'end')
  await isIn(context, pid, 'active')
  await context.control('postgres', 'killBackend', pid)
  const outcome = await query
  await ended
  return { outcome, errors, log }
}

async function terminate(context, pid, state) {
  await isIn(context, pid, state)
  const other = await open(settings(context))
  const { rows } = await other.query('select pg_terminate_backend($1)', [pid])
  await other.end()
  return rows
}

/** Waits until the server process of a client is in a state: `active` in mid-query. */
async function isIn(context, pid, state) {
  const other = await open(settings(context))
  let rows = []
  do ({ rows } = await other.query('select 1 from pg_stat_activity where pid = $1 and state = $2', [pid, state]))
  while (rows.length === 0)
  await other.end()
}
