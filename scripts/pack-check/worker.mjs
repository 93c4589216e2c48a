import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const [code] = await once(new Worker(new URL('module.mjs', import.meta.url)), 'exit')
if (code !== 0) throw new Error(`the worker ended with ${code}`)
