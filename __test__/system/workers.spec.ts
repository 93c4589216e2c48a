import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import test from 'ava'
import { type InetAddress, Socket, toDuplex } from 'm-socket'

import { openObjects } from '../support/descriptors.js'
import { fixturePath, runFixture } from '../support/fixture.js'

const WORKERS = 8
const CONNECTIONS = 5
const BYTES = 200_000

test.serial('many_workers_load_the_addon_at_once_and_each_has_its_own_state', async (t) => {
  const workers = Array.from({ length: WORKERS }, () => new Worker(fixturePath('echo-worker.ts')))
  const addresses = await Promise.all(
    workers.map(async (worker) => ((await once(worker, 'message')) as [InetAddress])[0]),
  )
  t.is(new Set(addresses.map(({ port }) => port)).size, WORKERS)
  await Promise.all(addresses.flatMap((address) => Array.from({ length: CONNECTIONS }, () => echoes(address))))
  for (const worker of workers) {
    const counted = once(worker, 'message')
    const ended = once(worker, 'exit')
    worker.postMessage('close')
    t.deepEqual(await counted, [CONNECTIONS * BYTES])
    t.deepEqual(await ended, [0])
  }

  async function echoes({ port }: InetAddress): Promise<void> {
    const sent = randomBytes(BYTES)
    const duplex = toDuplex(Socket.connect({ port }))
    duplex.end(sent)
    const received: Buffer[] = []
    for await (const chunk of duplex) received.push(chunk as Buffer)
    t.true(Buffer.concat(received).equals(sent))
  }
})

for (const [way, code] of Object.entries({ end: 0, exit: 3, throw: 1, terminate: 1 })) {
  test.serial(`a_worker_leaves_no_descriptor_behind (by ${way})`, async (t) => {
    const before = openObjects().length
    const worker = new Worker(fixturePath('ending-worker.ts'), { workerData: way })
    const errors: Error[] = []
    worker.on('error', (error) => errors.push(error))
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    await once(worker, 'message')
    t.true(openObjects().length >= before + 4, 'its descriptors are open in this process')
    if (way === 'terminate') await worker.terminate()
    else worker.postMessage('now')
    t.is(await ended, code)
    t.is(errors.length, way === 'throw' ? 1 : 0)
    t.is(openObjects().length, before)
  })
}

test.serial('200_workers_terminated_during_traffic_cause_no_crash_and_leak_no_descriptor', async (t) => {
  const { code, signal, stdout, stderr } = await runFixture(t, 'terminate-workers.ts', 200)
  t.is(signal, null, stderr)
  t.is(code, 0, stderr)
  const { before, after, counts } = JSON.parse(stdout) as {
    before: string[]
    after: string[]
    counts: Record<string, number>
  }
  t.log(
    `descriptors other than files: ${before.length} before, ${after.length} after; ${Object.entries(counts)
      .map(([scene, count]) => `${scene} ${count}`)
      .join(', ')}`,
  )
  t.true(Object.values(counts).reduce((sum, count) => sum + count) >= 200)
  t.is(after.length, before.length, after.join(' '))
})
