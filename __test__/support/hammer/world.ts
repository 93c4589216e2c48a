import process from 'node:process'
import { inspect } from 'node:util'
import { type Worker as Thread, Worker } from 'node:worker_threads'

import { type Connection, type ListenOptions, Multiplexer, type Server, connect, listen } from 'm-socket'

import { fixturePath } from '../fixture.js'
import { addressOf } from '../pair.js'
import { act, isStream, resume, write } from './acts.js'
import { Flow } from './flow.js'
import { Random } from './random.js'
import { startReading } from './readers.js'
import { type Reading, Side, handlersOf } from './side.js'

/** Connections that are open at a time, without those of workers. */
const CONNECTIONS = 200
const SERVERS = 4
const READINGS: readonly Reading[] = ['handler', 'handler', 'handler', 'read', 'loop', 'duplex', 'web']
/** Seconds in which everything ends, once nothing new begins. */
const PATIENCE = 30

/** Unix sockets so far. */
let paths = 0

/** What one server has. */
interface Place {
  readonly server: Server<Side>
  readonly multiplexer: Multiplexer | undefined
}

/** Servers, clients and workers that do at random what programs do. */
export class World {
  readonly problems: string[] = []
  readonly counts = { connections: 0, refused: 0, acts: 0, bytes: 0, servers: 0, workers: 0, errors: 0 }
  readonly #random: Random
  readonly #directory: string
  /** Servers that accept. */
  #places: Place[] = []
  /** Servers that have connections, too. */
  #open = new Set<Place>()
  #closing: Promise<void>[] = []
  #workers = new Set<Thread>()
  #clients = new Set<Side>()
  #sides = new Set<Side>()
  /** Sides that are closed, and whose peers are not. */
  #past: Side[] = []
  #lastSide = 0

  constructor(seed: number, directory: string) {
    this.#random = new Random(seed)
    this.#directory = directory
  }

  /** Acts for so many milliseconds, then lets everything end. */
  async run(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds
    while (this.#places.length < SERVERS) this.#openServer()
    while (performance.now() < end) {
      for (let count = this.#random.integer(1, 60); count > 0; count--) this.#step()
      this.#sweep()
      if (this.#random.chance(0.2)) await new Promise((resolve) => setTimeout(resolve, this.#random.integer(0, 5)))
      else await new Promise((resolve) => setImmediate(resolve))
    }
    await this.#finish()
  }

  report(problem: string): void {
    // More of them help less.
    if (this.problems.length < 30) this.problems.push(problem)
  }

  #step(): void {
    this.counts.acts++
    if (this.#random.chance(0.0005)) this.#disturbServer()
    else if (this.#random.chance(0.0002)) this.#openWorker()
    else if (this.#clients.size < CONNECTIONS && this.#random.chance(0.3)) void this.#openClient()
    else if (this.#sides.size > 0) this.#act(this.#random.pick([...this.#sides]))
  }

  #act(side: Side): void {
    try {
      act(side)
    } catch (error) {
      side.problem(`a call throws: ${(error as Error).stack}`)
    }
  }

  // Servers

  #openServer(): void {
    this.counts.servers++
    const random = this.#random
    const multiplexer = random.chance(0.2) ? new Multiplexer() : undefined
    if (multiplexer) void turns(multiplexer)
    const where = random.chance(0.6) ? { host: '127.0.0.1', port: 0 } : { path: `${this.#directory}/${++paths}` }
    const options = {
      ...where,
      socket: this.#serverHandlers(),
      allowHalfOpen: random.chance(0.5),
      sendQueueLimit: random.size(500_000),
      ...(random.chance(0.3) ? { sendBufferSize: 8192 } : {}),
      ...(random.chance(0.2) ? { maxConnections: random.integer(1, 50) } : {}),
      ...(multiplexer ? { multiplexer } : {}),
    }
    const place = { server: listen<Side>(options as unknown as ListenOptions<Side>), multiplexer }
    this.#places.push(place)
    this.#open.add(place)
  }

  #serverHandlers(): ReturnType<typeof handlersOf> {
    const sideOf = (connection: Connection<Side>): Side => (connection.data ??= this.#side('server'))
    return handlersOf(sideOf, (side) => this.#onOpen(side), write)
  }

  #disturbServer(): void {
    const place = this.#random.pick(this.#places)
    const { server } = place
    if (this.#random.chance(0.5)) return server.reload({ socket: this.#serverHandlers() })
    this.#places = this.#places.filter((other) => other !== place)
    this.#closing.push(this.#endServer(place))
    this.#openServer()
  }

  async #endServer(place: Place): Promise<void> {
    const { server, multiplexer } = place
    const sides = [...server.clients].map(({ data }) => data)
    const way = this.#random.pick(['stop', 'terminate', 'timeout', 'end'])
    for (const side of sides) if (way === 'terminate' || way === 'timeout') side.cut()
    if (way === 'end') for (const side of sides) side.hasEnded = true
    if (way === 'stop') server.stop()
    else if (way === 'terminate') server.stop(true)
    else await server.close(way === 'timeout' ? { timeout: this.#random.integer(0, 200) } : { end: true })
    if (way !== 'stop' && server.connections > 0)
      this.report(`${server.connections} connections after ${way} of a server`)
    // What is left ends by itself.
    while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 20))
    multiplexer?.close()
    this.#open.delete(place)
  }

  // Connections

  #side(kind: string): Side {
    const random = new Random(this.#random.integer(0, 2 ** 32 - 1))
    const side = new Side(`${kind} ${++this.#lastSide}`, random, random.pick(READINGS), (problem) =>
      this.report(problem),
    )
    this.#sides.add(side)
    return side
  }

  #onOpen(side: Side): void {
    if (isStream(side) || side.random.chance(0.7)) write(side)
    if (side.random.chance(0.02)) {
      side.cut()
      side.connection!.terminate()
    } else startReading(side)
  }

  async #openClient(): Promise<void> {
    const side = this.#side('client')
    this.#clients.add(side)
    const { server } = this.#random.pick(this.#places)
    const { reading } = side
    const all = handlersOf(
      ({ data }) => data,
      (opened) => this.#onOpen(opened),
      write,
    )
    const { data, ...quiet } = all
    const options = {
      ...addressOf(server),
      socket: reading === 'handler' ? { ...quiet, data } : quiet,
      data: side,
      allowHalfOpen: this.#random.chance(0.5),
      connectTimeout: 10_000,
      sendQueueLimit: this.#random.size(500_000),
      ...(this.#random.chance(0.1) ? { signal: AbortSignal.timeout(this.#random.integer(1, 20)) } : {}),
    }
    this.counts.connections++
    try {
      await connect<Side>(options as unknown as Parameters<typeof connect<Side>>[0])
    } catch {
      // The server has gone, or the signal was aborted.
      this.counts.refused++
      if (side.opened > 0) side.problem('refused, and opened all the same')
      this.#forget(side)
      return
    }
    if (side.opened !== 1) side.problem('connected without a call of open')
  }

  #forget(side: Side): void {
    this.#clients.delete(side)
    this.#sides.delete(side)
    side.out.isOver = true
    // Its flow may be waited for, in vain.
    const description = side.out.sender()
    side.out.sender = () => description
    if (side.closed > 0) this.#past.push(side)
  }

  /** Checks and forgets what is closed. */
  #sweep(): void {
    for (const side of this.#sides) {
      if (side.closed === 0) continue
      this.#forget(side)
      this.counts.bytes += side.receipt.total
      if (side.error) this.counts.errors++
    }
    this.#past = this.#past.filter((side) => !side.verify())
  }

  // Workers

  #openWorker(): void {
    // Deno leaves descriptors of its own for each worker that has loaded an addon.
    if (this.#workers.size > 1 || process.versions['deno'] !== undefined) return
    this.counts.workers++
    // It is terminated at any moment: what it sends may be cut anywhere.
    const flows = Array.from({ length: 5 }, () =>
      Object.assign(new Flow(), { accepted: Infinity, isCut: true, isOver: true }),
    )
    const address = addressOf(this.#random.pick(this.#places).server)
    const worker = new Worker(fixturePath('hammer-worker.ts'), {
      workerData: { address, ids: flows.map(({ id }) => id) },
    })
    this.#workers.add(worker)
    worker.on('error', (error) => this.report(`a worker fails: ${error.message}`))
    worker.on('exit', () => this.#workers.delete(worker))
    setTimeout(() => void worker.terminate(), this.#random.integer(50, 1500))
  }

  // The end

  async #finish(): Promise<void> {
    const isOver = (): boolean => {
      this.#sweep()
      for (const side of this.#sides) this.#end(side)
      return this.#sides.size === 0 && this.#workers.size === 0
    }
    const closed = this.#places.map((place) => this.#stop(place))
    for (let turn = 0; !isOver(); turn++) {
      if (turn > PATIENCE * 20) {
        for (const side of this.#sides) side.problem('does not end')
        break
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE * 1000, 'late')))
    if ((await Promise.race([Promise.all([...closed, ...this.#closing]), late])) === 'late')
      this.report(`a server does not close: ${this.#serversLeft()}`)
    clearTimeout(timer)
    this.#sweep()
    if (this.#past.length > 0) this.report(`${this.#past.length} flows have no end`)
    Flow.forgetAll()
  }

  #serversLeft(): string {
    return [...this.#open].map(({ server }) => inspect(server)).join(', ')
  }

  #end(side: Side): void {
    if (!side.isOpen || isStream(side)) return
    resume(side)
    side.connection!.timeout(0)
    if (side.hasEnded) return
    side.hasEnded = true
    side.connection!.end()
  }

  async #stop(place: Place): Promise<void> {
    await place.server.close()
    place.multiplexer?.close()
    this.#open.delete(place)
  }
}

/** A program that waits for its multiplexer itself. */
async function turns(multiplexer: Multiplexer): Promise<void> {
  for await (const events of multiplexer) void events
}
