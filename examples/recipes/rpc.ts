// A server of requests with a length and an id, many at a time on one connection: node rpc.ts [PORT]
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, listen } from 'm-socket'

/** Bytes of a message; requests of one connection at a time; milliseconds without a byte. */
const [LIMIT, AT_ONCE, IDLE] = [1_000_000, 64, 60_000]
/** JSON behind its length, four bytes, big-endian. An answer has the id of its request, and `result` or `error`. */
type Message = { id: number; method?: string; params?: number[]; result?: unknown; error?: string }

const methods = new Map<string, (...params: number[]) => unknown>()
methods.set('add', (a = 0, b = 0) => a + b)
methods.set('wait', (ms = 0) => sleep(ms, `waited ${ms} ms`))

// Half-open: a client that has ended its half still gets its answers.
const options = { allowHalfOpen: true, maxConnections: 1000, idleTimeout: IDLE }
const socket = { open: serve, error: (connection: Connection) => connection.terminate() }
const server = listen({ host: '127.0.0.1', port: process.argv[2] ?? 7000, ...options, socket })
process.once('SIGTERM', () => server.close({ end: true, timeout: 5000 }))
console.log(`Listening on ${server.host} port ${server.port}`)

async function serve(connection: Connection): Promise<void> {
  const running = new Set<Promise<void>>()
  for (let request; (request = await receive(connection));) {
    const task = answer(request).then((message) => send(connection, message))
    task.catch(() => connection.terminate()).finally(() => running.delete(task))
    // A client that asks faster than it is answered, or than it reads, has to wait: what follows stays in the kernel.
    if (running.add(task).size >= AT_ONCE) await Promise.race(running)
  }
  await Promise.all(running)
  connection.end()
}

async function answer({ id, method = '', params = [] }: Message): Promise<Message> {
  try {
    if (!methods.has(method)) throw new Error(`there is no method ${method}`)
    return { id, result: await methods.get(method)!(...params) }
  } catch (error) {
    return { id, error: (error as Error).message }
  }
}

/** Undefined at an end between two messages. */
async function receive(connection: Connection): Promise<Message | undefined> {
  const head = await connection.readExactly(4).catch((error: { code: string; received: number }) => {
    if (error.code === 'ERR_UNEXPECTED_END' && error.received === 0) return undefined
    throw error
  })
  const length = head?.readUInt32BE() ?? 0
  if (length > LIMIT) throw new RangeError(`a message has at most ${LIMIT} bytes`)
  return head && (JSON.parse((await connection.readExactly(length)).toString()) as Message)
}

async function send(connection: Connection, message: Message): Promise<void> {
  const body = Buffer.from(JSON.stringify(message))
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  await connection.writeAll([head, body])
}
