import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker, isMainThread, parentPort, threadId, workerData } from 'node:worker_threads'

import { type InetAddress, Listener, type Server, listen } from 'm-socket'

if (isMainThread) await startWorkers(process.argv[2] ?? 5000, availableParallelism())
else {
  const server = serve(Listener.bind({ fd: workerData as number }))
  parentPort!.once('message', () => server.close({ timeout: 2000 }))
}

/** Binds one listener for each worker, all on one port: the kernel gives each connection to one of them. */
async function startWorkers(port: string | number, count: number) {
  const first = Listener.bind({ port, reusePort: true })
  const address = first.address as InetAddress
  const others = Array.from({ length: count - 1 }, () => Listener.bind({ port: address.port, reusePort: true }))
  const workers = [first, ...others].map(
    (listener) => new Worker(new URL(import.meta.url), { workerData: listener.detach() }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'online')))
  console.log(`${count} workers, port ${address.port}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => workers.forEach((worker) => worker.postMessage('close')))
  }
}

function serve(listener: Listener): Server {
  return listen({
    listener,
    socket: { open: (connection) => void connection.end(`hello from thread ${threadId}\n`) },
  })
}
