// An echo server on all cores: each worker has a listener of its own, and the kernel spreads the connections over them,
// by SO_REUSEPORT. SIGHUP replaces the workers, one after the other, and no connection is lost: the new one gets the
// listener of the old one, in whose backlog they wait meanwhile. The old one ends when its connections have.

import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { Worker, isMainThread, parentPort, threadId } from 'node:worker_threads'

import { type InetAddress, Listener, listen } from 'm-socket'

/** Milliseconds until the connections of a worker that is replaced are closed. */
const GRACE = 30_000

if (isMainThread) await run()
else serve()

async function run(): Promise<void> {
  const options = { host: { type: 'string' }, port: { type: 'string' }, workers: { type: 'string' } } as const
  const { host = '0.0.0.0', port = '5000', workers = availableParallelism() } = parseArgs({ options }).values
  const first = Listener.bind({ host, port, reusePort: true })
  const address = first.address as InetAddress
  const others = Array.from({ length: Number(workers) - 1 }, () =>
    Listener.bind({ host, port: address.port, reusePort: true }),
  )
  const running = await Promise.all([first, ...others].map(start))
  for (const [index, listener] of [first, ...others].entries()) running[index]!.postMessage(listener.detach())

  process.on('SIGHUP', async () => {
    for (const [index, worker] of running.entries()) running[index] = await replace(worker)
    console.log('All workers are new')
  })
  const stop = (): void => {
    process.removeAllListeners('SIGHUP')
    for (const worker of running) worker.postMessage('stop')
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  console.log(`Listening on ${address.address} port ${address.port} with ${running.length} workers`)
}

/** A worker that waits for a descriptor. */
async function start(): Promise<Worker> {
  const worker = new Worker(new URL(import.meta.url))
  await once(worker, 'message')
  return worker
}

/** The listener is without a worker for a moment only, since the new one is there before. */
async function replace(worker: Worker): Promise<Worker> {
  const successor = await start()
  worker.postMessage('hand over')
  const [fd] = (await once(worker, 'message')) as [number]
  successor.postMessage(fd)
  return successor
}

function serve(): void {
  const port = parentPort!
  port.postMessage('ready')
  port.once('message', (fd: number) => {
    const listener = Listener.bind({ fd })
    const server = listen({
      listener,
      socket: {
        data(connection, chunk) {
          if (chunk.includes('who?')) connection.write(`worker ${threadId}\n`)
          else if (connection.write(chunk) < chunk.length) connection.terminate()
        },
      },
    })
    port.once('message', async (order: 'hand over' | 'stop') => {
      if (order === 'hand over') port.postMessage(listener.detach())
      await server.close({ timeout: order === 'stop' ? 900 : GRACE })
    })
  })
}
