// An echo server on all cores whose main thread accepts, and gives each connection to the worker that has the fewest.
// SIGHUP replaces the workers, one after the other: the old one gets no more connections, and ends when its own have.

import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, threadId, workerData } from 'node:worker_threads'

import { type DetachedSocket, type InetAddress, Listener, Socket, adopt } from 'm-socket'

/** A worker, and how many connections it has: a number in memory that both threads share. */
class Thread {
  readonly #load = new Int32Array(new SharedArrayBuffer(4))
  readonly #worker = new Worker(new URL(import.meta.url), { workerData: this.#load })

  get load(): number {
    return Atomics.load(this.#load, 0)
  }

  give(socket: Socket): void {
    Atomics.add(this.#load, 0, 1)
    this.#worker.postMessage(socket.detach())
  }

  retire(): void {
    this.#worker.postMessage('retire')
  }
}

if (isMainThread) await run()
else serve(workerData as Int32Array)

async function run(): Promise<void> {
  const options = { host: { type: 'string' }, port: { type: 'string' }, workers: { type: 'string' } } as const
  const { host = '0.0.0.0', port = '5000', workers = availableParallelism() } = parseArgs({ options }).values
  const listener = Listener.bind({ host, port, noDelay: true })
  const threads = Array.from({ length: Number(workers) }, () => new Thread())
  const { address, port: found } = listener.address as InetAddress

  process.on('SIGHUP', () => {
    for (const [index, thread] of threads.entries()) {
      threads[index] = new Thread()
      thread.retire()
    }
    console.log('All workers are new')
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => listener.close())
  console.log(`Listening on ${address} port ${found} with ${threads.length} workers`)
  for await (const socket of listener) {
    const least = threads.reduce((best, each) => (each.load < best.load ? each : best))
    least.give(socket)
  }
  process.removeAllListeners('SIGHUP')
  for (const thread of threads) thread.retire()
}

function serve(load: Int32Array): void {
  let isRetired = false
  const endIfIdle = (): void => {
    if (isRetired && Atomics.load(load, 0) === 0) parentPort!.close()
  }
  parentPort!.on('message', (message: DetachedSocket | 'retire') => {
    if (message === 'retire') {
      isRetired = true
      return endIfIdle()
    }
    adopt(Socket.attach(message), {
      socket: {
        data(connection, chunk) {
          if (chunk.includes('who?')) connection.write(`worker ${threadId}\n`)
          else if (connection.write(chunk) < chunk.length) connection.terminate()
        },
        close() {
          Atomics.sub(load, 0, 1)
          endIfIdle()
        },
      },
    })
  })
}
