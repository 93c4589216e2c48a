// What an idle pair of a proxy weighs, and the system calls of a round trip or a MiB.

import { readdirSync, readlinkSync } from 'node:fs'

import { LOAD } from './build.js'
import { Child } from './child.js'
import { type Syscalls, traced } from './counted.js'
import { onLoadCore } from './cores.js'
import { residentOf } from './cpu.js'
import { type Server, load, loaded, unitsOf } from './measure.js'
import type { RelayLoad } from './relay-loads.js'
import { type Proxy, stopped } from './relay-proxies.js'

export interface PairMemory {
  readonly pairs: number
  /** Resident bytes per pair that has carried nothing yet, after a collection. */
  readonly fresh: number
  /** The same after five round trips of 16 KiB on each pair. */
  readonly used: number
  /** The pipes that are open while the pairs are idle, and were not before. */
  readonly pipes: number
}

const PAIRS = 5000

/** Idle pairs that are there before: code that was compiled for the first ones is not counted. */
const FIRST_PAIRS = 1000

/** A young generation that reaches its limit before the first pair, so that its growth is not counted. */
const NO_GROWTH = ['--max-semi-space-size=1']

const WARM = ['--connections', '50', '--size', '16384', '--operations', '5000']
const USE = ['--connections', String(PAIRS), '--size', '16384', '--operations', String(5 * PAIRS)]

export async function pairMemory(proxy: Proxy, backend: string): Promise<PairMemory> {
  const fresh = await grown(proxy, backend, async ({ port }, resident) => {
    const hold = async (pairs: number): Promise<Child> => {
      const holder = new Child(onLoadCore([LOAD, 'idle', '--connections', String(pairs), '--port', port]))
      await holder.line()
      return holder
    }
    const holders = [await hold(FIRST_PAIRS)]
    const first = await resident()
    holders.push(await hold(PAIRS))
    const bytes = (await resident()) - first
    for (const holder of holders) {
      await holder.ask('')
      await holder.end()
    }
    return { bytes, pipes: 0 }
  })
  const used = await grown(proxy, backend, async (server, resident, pipes) => {
    const before = await resident()
    return load(server, ['echo', ...USE], async (go) => {
      await go()
      return { bytes: (await resident()) - before, pipes: pipes() }
    })
  })
  return { pairs: PAIRS, fresh: fresh.bytes, used: used.bytes, pipes: used.pipes }
}

interface Growth {
  readonly bytes: number
  readonly pipes: number
}

/** The growth, per pair, between a warm-up and what `act` measures, in a process of its own. */
async function grown(
  proxy: Proxy,
  backend: string,
  act: (server: Server, resident: () => Promise<number>, pipes: () => number) => Promise<Growth>,
): Promise<Growth> {
  const server = await proxy.start(backend, NO_GROWTH)
  const { pid } = server.child
  const resident = async (): Promise<number> => {
    // The second one collects what the first one has finalized.
    if (proxy.onNode) for (let count = 0; count < 2; count++) await server.child.ask('gc')
    return residentOf(pid)
  }
  try {
    const pipesBefore = pipesOf(pid)
    await load(server, ['echo', ...WARM], (go) => go())
    const pipes = (): number => [...pipesOf(pid)].filter((pipe) => !pipesBefore.has(pipe)).length
    const after = await act(server, resident, pipes)
    return { bytes: after.bytes / PAIRS, pipes: after.pipes }
  } finally {
    await stopped(server)
  }
}

/** proc(5): the inodes of the pipes among its descriptors. */
function pipesOf(pid: number): Set<string> {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return '' // closed meanwhile
    }
  })
  return new Set(targets.filter((target) => target.startsWith('pipe:')))
}

export async function relayCalls(proxy: Proxy, backend: string, { workload, amount }: RelayLoad): Promise<Syscalls> {
  const server = await proxy.start(backend)
  try {
    return await loaded(server, workload, Math.floor(amount / 10), workload.warmup / 10, (go) =>
      traced(server, go, (report) => unitsOf(workload, report)),
    )
  } finally {
    await stopped(server)
  }
}
