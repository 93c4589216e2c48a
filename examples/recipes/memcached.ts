// A cache for clients of memcached, in its text protocol: node memcached.ts [PORT [MEGABYTES]]
import process from 'node:process'
import { type Connection, type Data, listen } from 'm-socket'

/** Bytes of a command and of a value; what a key costs besides. Seconds from which on an expiry is a date. */
const [LINE, LARGEST, OVERHEAD, MONTH] = [2048, 1_048_576, 128, 2_592_000]
type Item = { flags: string; data: Buffer; expires: number }
const [port = 11211, megabytes = 64] = process.argv.slice(2)
const items = new Map<string, Item>() // the least recently used first
let used = 0
const expiry = (seconds: number) => (seconds === 0 ? Infinity : (seconds > MONTH ? 0 : Date.now()) + seconds * 1000)
const socket = { open: serve, error: (client: Connection, { message }: Error) => client.end(`ERROR ${message}\r\n`) }
const server = listen({ host: '127.0.0.1', port, maxConnections: 1024, socket })
console.log(`Listening on ${server.host} port ${server.port}`)

async function serve(client: Connection): Promise<void> {
  for await (const line of client.lines({ limit: LINE })) {
    const [name = '', ...words] = line.split(' ')
    if (name === 'quit') break
    const answer = ['set', 'add', 'replace'].includes(name) ? await store(client, name, words) : execute(name, words)
    if (words.at(-1) !== 'noreply') await client.writeAll(answer)
  }
  client.shutdown('both')
}

async function store(client: Connection, name: string, words: string[]): Promise<string> {
  const [key = '', flags = '', seconds = '', length = ''] = words
  if (!(Number(length) <= LARGEST) || Buffer.byteLength(key) > 250) throw new Error('too large, or not a length')
  const data = (await client.readExactly(Number(length) + 2)).subarray(0, -2)
  const old = take(key)
  if (name === 'set' || (name === 'add') === !old) return put(key, { flags, data, expires: expiry(+seconds) }, 'STORED')
  return old ? put(key, old, 'NOT_STORED') : 'NOT_STORED\r\n'
}

function execute(name: string, words: string[]): Data | Data[] {
  const [key = '', seconds = 0] = words
  if (name === 'get') return [...words.flatMap(read), 'END\r\n']
  if (name !== 'delete' && name !== 'touch') return name === 'version' ? 'VERSION 1.0\r\n' : 'ERROR\r\n'
  const item = take(key)
  if (!item || name === 'delete') return item ? 'DELETED\r\n' : 'NOT_FOUND\r\n'
  return put(key, { ...item, expires: expiry(+seconds) }, 'TOUCHED')
}

function read(key: string): Data[] {
  const item = take(key)
  return item ? [put(key, item, `VALUE ${key} ${item.flags} ${item.data.length}`), item.data, '\r\n'] : []
}

function take(key: string): Item | undefined {
  const item = items.get(key)
  if (item && items.delete(key)) used -= key.length + item.data.length + OVERHEAD
  return item && item.expires > Date.now() ? item : undefined
}

function put(key: string, item: Item, line: string): string {
  items.set(key, item)
  used += key.length + item.data.length + OVERHEAD
  while (used > Number(megabytes) * 1e6) take(items.keys().next().value!)
  return `${line}\r\n`
}
