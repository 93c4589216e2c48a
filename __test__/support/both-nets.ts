import nodeNet from 'node:net'

import test, { type ExecutionContext } from 'ava'
import ourNet from 'm-socket/net'

import { ON_NODE } from './runtime.js'

export type Net = typeof nodeNet

/** Takes one entry of the log; numbers and booleans are written as text. */
export type Log = (entry: string | number | boolean) => void

/** What the steps of one test have besides the module: what closes at the end, and the names of errors. */
export interface Stage {
  readonly t: ExecutionContext
  /** A listening server on a free port of 127.0.0.1, or where `options` say; closed with its sockets at the end. */
  server(onConnection?: (socket: nodeNet.Socket) => void, options?: ServerOptions): Promise<nodeNet.Server>
  /** `socket`, destroyed at the end. */
  track<S extends nodeNet.Socket>(socket: S): S
}

type ServerOptions = nodeNet.ServerOpts & { listen?: nodeNet.ListenOptions }

type Steps = (net: Net, log: Log, stage: Stage) => unknown

/**
 * One test of the same steps on `node:net` and on `m-socket/net`: both must write the same log, which is not empty. The
 * steps end when their promise resolves. Where `node:net` is not Node's own, the steps run on `m-socket/net` only.
 */
export function onBoth(title: string, steps: Steps): void {
  test(title, async (t) => {
    const ours = await logOf(t, ourNet, steps)
    t.not(ours.length, 0, 'the log is empty')
    if (ON_NODE) t.deepEqual(ours, await logOf(t, nodeNet, steps))
  })
}

/** `onBoth` for each case of a table; `%s` in the title stands for the case's name. */
export function eachOnBoth<C>(title: string, cases: Record<string, C>, steps: (c: C) => Steps): void {
  for (const [name, value] of Object.entries(cases)) onBoth(title.replace('%s', name), steps(value))
}

async function logOf(t: ExecutionContext, net: Net, steps: Steps): Promise<string[]> {
  const entries: string[] = []
  const sockets = new Set<nodeNet.Socket>()
  const servers = new Set<nodeNet.Server>()
  const track = <S extends nodeNet.Socket>(socket: S): S => {
    sockets.add(socket)
    return socket
  }
  const stage: Stage = {
    t,
    track,
    async server(onConnection = () => {}, { listen = { port: 0, host: '127.0.0.1' }, ...options } = {}) {
      const server = net.createServer(options, (socket) => onConnection(track(socket)))
      servers.add(server)
      server.listen(listen)
      await eventOf(server, 'listening')
      return server
    },
  }
  try {
    await steps(net, (entry) => void entries.push(String(entry)), stage)
    // What closes below is not a part of the steps.
    return [...entries]
  } finally {
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
  }
}

/** The arguments of the next `name` of `emitter`. An 'error' rejects, unless that or 'close' is waited for. */
export function eventOf(emitter: NodeJS.EventEmitter, name: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const onEvent = (...args: unknown[]) => {
      emitter.removeListener('error', onError)
      resolve(args)
    }
    const onError = (error: Error) => {
      emitter.removeListener(name, onEvent)
      reject(error)
    }
    emitter.once(name, onEvent)
    if (name !== 'error' && name !== 'close') emitter.once('error', onError)
  })
}

/** The port of a listening server. */
export function portOf(server: nodeNet.Server): number {
  return (server.address() as nodeNet.AddressInfo).port
}

const EVENTS = [
  'lookup',
  'connectionAttempt',
  'connectionAttemptFailed',
  'connectionAttemptTimeout',
  'connect',
  'ready',
  'data',
  'drain',
  'timeout',
  'prefinish',
  'finish',
  'end',
  'error',
  'close',
]

/** Writes the events of `socket` to the log, each as `<prefix><name> <what it says>`; listening to 'data' is optional. */
export function logEvents(
  socket: nodeNet.Socket,
  log: Log,
  { prefix = '', without = [] as string[], port = 0 } = {},
): void {
  for (const name of EVENTS) {
    if (without.includes(name)) continue
    socket.on(name, (...args: unknown[]) => log([`${prefix}${name}`, ...args.map((arg) => said(arg, port))].join(' ')))
  }
}

/** An argument of an event as text; `port` becomes `PORT`. */
export function said(value: unknown, port = 0): string {
  if (value instanceof Error) return errorText(value, port)
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  return port !== 0 && Number(value) === port ? 'PORT' : String(value)
}

/** What a program can see of an error: code, message and the fields of a system error. */
export function errorText(error: unknown, port = 0): string {
  if (!(error instanceof Error)) return String(error)
  const { name, code, message, syscall, address, errno } = error as NodeJS.ErrnoException & { address?: string }
  const text = [name, code, message, syscall, address, errno].join('|')
  return port === 0 ? text : text.replaceAll(String(port), 'PORT')
}

/** What a call throws, as {@link errorText}, or `returned`. */
export function thrownBy(call: () => unknown, port = 0): string {
  try {
    call()
    return 'returned'
  } catch (error) {
    return `threw ${errorText(error, port)}`
  }
}
