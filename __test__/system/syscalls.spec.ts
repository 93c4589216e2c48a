import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { type Socket, connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

import type { ExecutionContext } from 'ava'

import { start } from '../support/child.js'
import { fixtureArguments } from '../support/fixture.js'
import { testWith } from '../support/programs.js'
import { temporaryDirectory } from '../support/unix.js'

const CONNECTIONS = 100
const ROUNDS = 30
const ECHOES = CONNECTIONS * ROUNDS
const BYTES = 64

/** One system call as strace(1) writes it: `name(args) = result`. */
interface Call {
  readonly name: string
  readonly args: string
  readonly result: number
}

testWith(['strace'], 'an_echo_is_one_recv_one_send_and_a_share_of_a_batch', async (t) => {
  const calls = await trace(t, 'echo-until-closed.ts', [CONNECTIONS], async (server) => {
    const [port] = (await once(createInterface(server.stdout!), 'line')) as [string]
    await load(t, Number(port))
  })
  const epolls = neverBlocks(t, calls)
  t.is(epolls.size, 1)
  const receives = named(calls, 'recvfrom')
  const sends = named(calls, 'sendto')
  const controls = named(calls, 'epoll_ctl')
  const waits = named(calls, 'epoll_wait', 'epoll_pwait')
  const ours = waits.filter((call) => epolls.has(firstOf(call)))
  const sleeps = waits.filter((call) => !epolls.has(firstOf(call)))
  const per = (count: Call[]): string => (count.length / ECHOES).toFixed(3)
  t.log(`${calls.length} calls for ${ECHOES} echoes of ${CONNECTIONS} connections`)
  t.log(
    `per echo: recv ${per(receives)}, send ${per(sends)}, our epoll_wait ${per(ours)}, libuv's ${per(sleeps)}, epoll_ctl ${per(controls)}, poll ${per(named(calls, 'poll'))}`,
  )
  // And one for each connection, which receives the end.
  t.true(receives.length <= ECHOES + CONNECTIONS)
  t.true(sends.length <= ECHOES)
  t.true(ours.length < ECHOES / 2)
  t.true(sleeps.length < ECHOES / 2)
  // Each connection is added and removed, and so are the listener and the multiplexer; an echo changes no registration.
  t.true(controls.length <= 2 * CONNECTIONS + 20)
})

testWith(['strace'], 'connects_streams_and_closes_never_block', async (t) => {
  const calls = await trace(t, 'churn.ts', [0, 200, 1], (child) => void child.stdout!.resume())
  // One epoll descriptor each for the server, the client and the streams.
  t.is(neverBlocks(t, calls).size, 3)
  t.is(named(calls, 'connect').length, 200)
})

/** Asserts that none of our calls could block. Returns our epoll descriptors. */
function neverBlocks(t: ExecutionContext, calls: readonly Call[]): Set<number> {
  const epolls = new Set(
    onSockets(calls, targetOf)
      .filter(({ name }) => name === 'epoll_ctl')
      .map(firstOf),
  )
  const waits = named(calls, 'epoll_wait', 'epoll_pwait').filter((call) => epolls.has(firstOf(call)))
  t.true(waits.length > 0)
  t.deepEqual(
    waits.filter(({ args }) => !/, 0(, NULL, 8)?$/.test(args)),
    [],
    'each epoll_wait of ours has a timeout of 0',
  )
  t.deepEqual(
    [
      ...named(calls, 'poll').filter(({ args }) => !args.endsWith(', 0')),
      ...named(calls, 'ppoll').filter(({ args }) => !args.includes('{tv_sec=0, tv_nsec=0}')),
    ],
    [],
    'each poll has a timeout of 0',
  )

  const opened = named(calls, 'socket', 'accept4')
  t.deepEqual(
    opened.filter(({ args }) => !args.includes('SOCK_CLOEXEC|SOCK_NONBLOCK')),
    [],
    'each socket is created non-blocking',
  )
  t.deepEqual(named(calls, 'accept'), [])
  t.deepEqual(
    onSockets(calls).filter(({ name }) => !KNOWN.has(name)),
    [],
    'only known calls are made on a socket',
  )
  const transfers = named(calls, 'recvfrom', 'sendto', 'sendmsg')
  t.true(transfers.length > 0)
  t.deepEqual(
    transfers.filter(({ args }) => !args.includes('MSG_DONTWAIT')),
    [],
  )
  return epolls
}

/** The calls that we make on sockets. On a non-blocking socket without SO_LINGER all of them return at once. */
const KNOWN = new Set([
  'bind',
  'listen',
  'accept4',
  'connect',
  'getsockopt',
  'setsockopt',
  'getsockname',
  'getpeername',
  'recvfrom',
  'sendto',
  'sendmsg',
  'shutdown',
  'close',
])

/** The calls with an argument, by default the first, that is a socket which is open at that time. */
function onSockets(calls: readonly Call[], argument: (call: Call) => number = firstOf): Call[] {
  const sockets = new Set<number>()
  return calls.filter((call) => {
    const isOnSocket = sockets.has(argument(call))
    if ((call.name === 'socket' || call.name === 'accept4') && call.result >= 0) sockets.add(call.result)
    if (call.name === 'close') sockets.delete(firstOf(call))
    return isOnSocket
  })
}

/** Runs a program of `fixtures/` and `meanwhile`. Returns the calls of its main thread from the first listen(2) on. */
async function trace(
  t: ExecutionContext,
  program: string,
  args: number[],
  meanwhile: (child: ChildProcess) => unknown,
): Promise<Call[]> {
  const directory = temporaryDirectory(t)
  const options = ['-ff', '-qq', '-s', '0', '-e', 'trace=%network,%desc', '-o', `${directory}/calls`]
  const child = start(t, 'strace', [...options, process.execPath, ...fixtureArguments(program, ...args)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'close') as Promise<[number | null]>
  const errors = text(child.stderr!)
  await meanwhile(child)
  t.is((await ended)[0], 0, await errors)

  // strace -ff writes one file for each thread; the thread that listens is the main thread.
  const threads = readdirSync(directory).map((name) =>
    readFileSync(`${directory}/${name}`, 'utf8').split('\n').flatMap(parse),
  )
  const main = threads.filter((calls) => named(calls, 'listen').length > 0)
  t.is(main.length, 1)
  return main[0]!.slice(main[0]!.findIndex(({ name }) => name === 'listen'))
}

/** All connections echo at the same time, so that events come in batches. */
async function load(t: ExecutionContext, port: number): Promise<void> {
  const sockets = Array.from({ length: CONNECTIONS }, () => connect({ port, noDelay: true }))
  t.teardown(() => sockets.forEach((socket) => socket.destroy()))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  for (let round = 0; round < ROUNDS; round++) await Promise.all(sockets.map(echoes))
  for (const socket of sockets) socket.end().resume()
  await Promise.all(sockets.map((socket) => once(socket, 'close')))
}

async function echoes(socket: Socket): Promise<void> {
  const sent = randomBytes(BYTES)
  socket.write(sent)
  const [received] = (await once(socket, 'data')) as [Buffer]
  if (!received.equals(sent)) throw new Error('another echo came back')
}

function named(calls: readonly Call[], ...names: string[]): Call[] {
  return calls.filter(({ name }) => names.includes(name))
}

function parse(line: string): Call[] {
  const found = /^(\w+)\((.*)\) += (-?\d+)/.exec(line)
  return found ? [{ name: found[1]!, args: found[2]!, result: Number(found[3]) }] : []
}

function firstOf({ args }: Call): number {
  return Number.parseInt(args, 10)
}

/** The descriptor whose registration epoll_ctl(2) changes. */
function targetOf({ args }: Call): number {
  return Number(/^\d+, EPOLL_CTL_\w+, (\d+)/.exec(args)?.[1])
}
