// The program under test: one scenario, in a process of its own. `node program.js NAME '{"transport":…}'`
// It writes lines of JSON; after `{"gate":…}` it stands still until a byte comes.

import { readdirSync, readlinkSync, readSync, writeSync } from 'node:fs'
import process from 'node:process'

import { Log } from './log.js'
import { SCENARIOS } from './scenarios.js'

/** Milliseconds that a run may take, and after which a lasting fault is lifted. */
const PATIENCE = 8000
const FAULT = 900

/** Kinds of descriptors, by their links in /proc/self/fd. */
const KINDS = ['socket', 'eventpoll', 'eventfd', 'timerfd']

const [name, json] = process.argv.slice(2)
const options = JSON.parse(json)

/** Its main thread's loop, before the library is there. */
const nodes = epolls()
const library = await import('m-socket')
const { default: net } = await import('m-socket/net')
const native = await import('m-socket/native')
const scenario = SCENARIOS[name]
const log = new Log(library, ['streams', 'net'].includes(scenario.level))

const warmed = options.warm ? await warmUp() : undefined
const prepared = warmed ?? (await scenario.prepare?.())
const before = openObjects()
gate(true)
process.on('uncaughtException', (error) => log.uncaught(error))
const began = { wall: performance.now(), cpu: process.cpuUsage() }
const context = { library, net, native, log, options, say, prepared }
const finished = Promise.resolve()
  .then(() => scenario.run(context))
  .catch((error) => log.thrown('run', error))
  .then(() => 'done')

let outcome = await within(options.lasting ? FAULT : PATIENCE, finished)
const { user, system } = process.cpuUsage(began.cpu)
const window = { wall: performance.now() - began.wall, cpu: (user + system) / 1000 }
const lifted = outcome !== 'done' && options.lasting
gate(false)
if (lifted) outcome = await within(PATIENCE, finished)
for (const clean of log.cleanups.reverse()) attempt(clean)
const left = await remaining()
say({ outcome: outcome === 'done' ? (lifted ? 'lifted' : 'done') : 'hung', window, left, ...log.result() })
process.exit(0)

/** Makes the shared poller, and lets Node's loop watch it. */
async function warmUp() {
  const server = library.listen({ host: '127.0.0.1', port: 0 })
  const client = await library.connect({ host: '127.0.0.1', port: server.port })
  client.terminate()
  server.stop(true)
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 5))
  return scenario.warm?.({ library })
}

function within(milliseconds, promise) {
  let timer
  const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds, 'late')))
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function attempt(act) {
  try {
    act()
  } catch (error) {
    log.thrown('clean-up', error)
  }
}

/** How many more of each kind are open than before, once there is none or that does not change. */
async function remaining() {
  for (let turn = 0; ; turn++) {
    const now = openObjects()
    // The shared poller of the thread stays.
    const more = KINDS.map((kind) => now[kind] - before[kind] - (options.warm || kind === 'socket' ? 0 : 1))
    const left = KINDS.flatMap((kind, at) => (more[at] > 0 ? [`${more[at]} of ${kind}`] : []))
    if (left.length === 0 || turn === 100) return left
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** How many sockets, epoll descriptors and the like are open. */
function openObjects() {
  const links = descriptors().map(([, link]) => link)
  return Object.fromEntries(KINDS.map((kind) => [kind, links.filter((link) => link.includes(kind)).length]))
}

function epolls() {
  return descriptors()
    .filter(([, link]) => link === 'anon_inode:[eventpoll]')
    .map(([fd]) => fd)
}

function descriptors() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [[Number(fd), readlinkSync(`/proc/self/fd/${fd}`)]]
    } catch {
      return []
    }
  })
}

function gate(on) {
  say({ gate: on, nodes })
  blocking(() => readSync(0, Buffer.alloc(1)))
}

function say(line) {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  for (let at = 0; at < bytes.length;) at += blocking(() => writeSync(1, bytes, at))
}

/** Node's end of a pipe does not block. */
function blocking(call) {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  }
}
