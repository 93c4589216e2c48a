// Half of them end by themselves, half are ended wherever they happen to be.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

const COUNT = 50

const codes = await Promise.all(
  Array.from({ length: COUNT }, async (_, number) => {
    const worker = new Worker(new URL('module.mjs', import.meta.url))
    const ended = once(worker, 'exit')
    if (number % 2 === 0) return (await ended)[0]
    await once(worker, 'online')
    await sleep(number * 10)
    await worker.terminate()
    return 0
  }),
)
if (codes.length !== COUNT || codes.some((code) => code !== 0)) throw new Error(`the workers ended with ${codes}`)
