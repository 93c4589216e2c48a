// Calls of rpc.ts, all sent at once: node rpc-client.ts HOST PORT 'add 1 2' 'wait 100' ...
import process from 'node:process'
import { type Connection, connect } from 'm-socket'

/** Milliseconds to connect, and for an answer; bytes of an answer. */
const [CONNECT, PATIENCE, LIMIT] = [5000, 1000, 1_000_000]
type Message = { id: number; method?: string; params?: number[]; result?: unknown; error?: string }

const [host = '127.0.0.1', port = 7000, ...calls] = process.argv.slice(2)
const connection = await connect({ host, port, connectTimeout: CONNECT })
const call = caller(connection)
await Promise.all(calls.map(print))
connection.shutdown('both')

async function print(line: string): Promise<void> {
  const [method = '', ...params] = line.split(' ')
  try {
    console.log(`${line}:`, await call(method, params.map(Number), AbortSignal.timeout(PATIENCE)))
  } catch (error) {
    console.log(`${line}: ${(error as Error).message}`)
  }
}

/** Makes calls on a connection. A call that is given up by its signal ignores its answer; the others go on. */
function caller(connection: Connection) {
  const pending = new Map<number, { resolve(result: unknown): void; reject(reason: unknown): void }>()
  let last = 0
  receive().catch((reason) => pending.forEach(({ reject }) => reject(reason)))

  async function receive(): Promise<never> {
    for (;;) {
      const length = (await connection.readExactly(4)).readUInt32BE()
      if (length > LIMIT) throw new RangeError(`an answer has at most ${LIMIT} bytes`)
      const answer = JSON.parse((await connection.readExactly(length)).toString()) as Message
      const { resolve, reject } = pending.get(answer.id) ?? {}
      if (answer.error === undefined) resolve?.(answer.result)
      else reject?.(new Error(answer.error))
    }
  }

  return async (method: string, params: number[], signal: AbortSignal): Promise<unknown> => {
    signal.throwIfAborted()
    const id = ++last
    const abort = () => pending.get(id)?.reject(signal.reason)
    signal.addEventListener('abort', abort)
    const body = Buffer.from(JSON.stringify({ id, method, params }))
    const head = Buffer.alloc(4)
    head.writeUInt32BE(body.length)
    const answer = new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject })
      connection.writeAll([head, body]).catch(reject)
    })
    return answer.finally(() => {
      signal.removeEventListener('abort', abort)
      pending.delete(id)
    })
  }
}
