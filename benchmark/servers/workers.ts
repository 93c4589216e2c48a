// Echo servers on several threads: `main`, `reuse-port` or `least-loaded`, and how many workers. Answers each line with
// how many connections each worker has been given.

import process from 'node:process'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

import { type DetachedSocket, type Handlers, Listener, Socket, adopt, listen } from 'm-socket'

interface Shared {
  readonly kind: string
  /** The listener of a worker; -1 where the main thread accepts. */
  readonly fd: number
  /** Connections that were given to the worker, and those it has. */
  readonly counts: Int32Array
}

const ADDRESS = { host: '127.0.0.1', backlog: 4096, noDelay: true } as const

if (isMainThread) run(process.argv[2]!, Number(process.argv[3]))
else serve(workerData as Shared)

function run(kind: string, count: number): void {
  const threads = kind === 'main' ? [] : Array.from({ length: count }, () => newCounts())
  const first = Listener.bind({ ...ADDRESS, reusePort: kind === 'reuse-port' })
  const { port } = first.address as { port: number }
  if (kind === 'main') {
    const counts = newCounts()
    threads.push(counts)
    listen({ listener: first, socket: handlers(counts) })
  } else if (kind === 'reuse-port') {
    for (const [index, counts] of threads.entries()) {
      const listener = index === 0 ? first : Listener.bind({ ...ADDRESS, port, reusePort: true })
      start({ kind, fd: listener.detach(), counts })
    }
  } else {
    const workers = threads.map((counts) => ({ counts, worker: start({ kind, fd: -1, counts }) }))
    void accept(first, workers)
  }
  console.log(`port ${port}`)
  process.stdin
    .on('data', () => console.log(JSON.stringify(threads.map((counts) => Atomics.load(counts, 0)))))
    .on('end', () => process.exit())
}

function newCounts(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8))
}

function start(shared: Shared): Worker {
  return new Worker(new URL(import.meta.url), { workerData: shared })
}

async function accept(listener: Listener, workers: { counts: Int32Array; worker: Worker }[]): Promise<void> {
  for await (const socket of listener) {
    const { counts, worker } = workers.reduce((best, each) => (load(each.counts) < load(best.counts) ? each : best))
    Atomics.add(counts, 0, 1)
    Atomics.add(counts, 1, 1)
    worker.postMessage(socket.detach())
  }
}

function load(counts: Int32Array): number {
  return Atomics.load(counts, 1)
}

function serve({ kind, fd, counts }: Shared): void {
  if (kind === 'reuse-port') listen({ listener: Listener.bind({ fd }), socket: handlers(counts) })
  else {
    const { open: _counted, ...socket } = handlers(counts)
    parentPort!.on('message', (detached: DetachedSocket) => void adopt(Socket.attach(detached), { socket }))
  }
}

/** The messages are small, and each is answered before the next one comes: the queue takes all. */
function handlers(counts: Int32Array): Handlers<undefined> {
  return {
    open() {
      Atomics.add(counts, 0, 1)
      Atomics.add(counts, 1, 1)
    },
    data(connection, chunk) {
      connection.write(chunk)
    },
    close() {
      Atomics.sub(counts, 1, 1)
    },
  }
}
