import { inspect } from 'node:util'

import * as library from 'm-socket'

import type { Objects } from './objects.js'

/** What a call is made with: the objects there are, a number that picks one of them, and any arguments. */
type Operation = (objects: Objects, which: number, args: readonly unknown[]) => unknown

/** Names of options, with values some of which are right. */
const OPTION_NAMES = [
  'host',
  'hostname',
  'port',
  'path',
  'unix',
  'backlog',
  'localAddress',
  'localPort',
  'noDelay',
  'keepAlive',
  'sendBufferSize',
  'reuseAddress',
  'ipv6Only',
  'socket',
  'data',
  'allowHalfOpen',
  'idleTimeout',
  'sendQueueLimit',
  'highWaterMark',
  'receiveInto',
  'multiplexer',
  'maxConnections',
  'connectTimeout',
  'signal',
  'timeout',
  'end',
  'whenFull',
  'listener',
  'linger',
  'mark',
  'nonsense',
]

/** The methods of each class that are called with any arguments. Those that block are among the operations below. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  Socket: [
    'receive',
    'peek',
    'send',
    'sendDescriptors',
    'receiveDescriptors',
    'flush',
    'shutdown',
    'close',
    'reset',
    'getOption',
    'setOption',
    'getsockopt',
    'info',
    'infoInto',
  ],
  Listener: ['accept', 'close', 'ref', 'unref', 'getOption', 'setOption'],
  Multiplexer: ['wake', 'close', 'ref', 'unref', 'poll', 'remove'],
  Connection: [
    'write',
    'tryWrite',
    'end',
    'terminate',
    'shutdown',
    'pause',
    'resume',
    'flush',
    'cork',
    'timeout',
    'setNoDelay',
    'setKeepAlive',
    'ref',
    'unref',
    'read',
    'reload',
  ],
  Server: ['stop', 'close', 'reload', 'ref', 'unref'],
  // What destroy and setEncoding do with bad arguments is Node's own.
  stream: ['write', 'end', 'pause', 'resume', 'read', 'ref', 'unref', 'cork', 'uncork'],
  web: ['close'],
}

/** Properties that can be set. `blocking` is not: a blocking socket on the main thread stands still. */
const SETTERS: Readonly<Record<string, readonly string[]>> = { Socket: ['sendQueueLimit'], Connection: ['data'] }

/** Milliseconds to wait: without a limit, the call would block. */
const WAITS = [0, 1, 0.5, -1, Number.NaN, '1', null, {}, 1n, -0]

/** Options made of any names and values, on the loopback. */
function optionsOf(objects: Objects, which: number, args: readonly unknown[]): unknown {
  if (which % 11 === 0) return args[0]
  const options: Record<string, unknown> =
    which % 3 === 0 ? {} : { host: '127.0.0.1', port: which % 2 === 0 ? 0 : portOf(objects, which) }
  args.forEach((value, index) => (options[OPTION_NAMES[(which + index * 7) % OPTION_NAMES.length]!] = value))
  return options
}

/** A socket that is refused, for wrong options, is as it was: it is adopted without any. */
function adopt(socket: library.Socket, which: number, args: readonly unknown[]): unknown {
  try {
    return library.adopt(socket, wrong(which % 2 === 0 ? {} : args[0]))
  } catch {
    return library.adopt(socket, {})
  }
}

function portOf(objects: Objects, which: number): unknown {
  return (objects.pick('Server', which) as unknown as library.Server | undefined)?.port
}

const wrong = <T = never>(value: unknown): T => value as T

/** All that can be done. What is returned is taken in where it is of the API. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'Socket.connect': (objects, which, args) => library.Socket.connect(wrong(optionsOf(objects, which, args))),
  'Listener.bind': (objects, which, args) => library.Listener.bind(wrong(optionsOf(objects, which, args))),
  'listener.detach': (objects, which) => {
    const listener = objects.pick('Listener', which) as unknown as library.Listener | undefined
    return listener && library.Listener.bind({ fd: listener.detach() })
  },
  'socket.detach': (objects, which) => {
    const socket = objects.pick('Socket', which) as unknown as library.Socket | undefined
    return socket && library.Socket.attach(socket.detach())
  },
  'connection.detach': (objects, which, args) => {
    const connection = objects.pick('Connection', which) as unknown as library.Connection | undefined
    return connection && adopt(library.Socket.attach(connection.detach()), which, args)
  },
  'Socket.attach': (_, which, args) => library.Socket.attach(wrong(which % 2 === 0 ? args[0] : { id: args[0] })),
  adopt: (objects, which, args) => library.adopt(wrong(which % 3 === 0 ? args[0] : objects.any(which)), wrong(args[1])),
  listen: (objects, which, args) => library.listen(wrong(optionsOf(objects, which, args))),
  connect: (objects, which, args) => library.connect(wrong(optionsOf(objects, which, args))),
  'new Multiplexer': (objects, which, args) =>
    new library.Multiplexer(...wrong<never[]>([...args, objects.any(which)])),
  toDuplex: (objects, which, args) =>
    library.toDuplex(wrong(which % 3 === 0 ? args[0] : objects.any(which)), wrong(args[1])),
  toWeb: (objects, which, args) => library.toWeb(wrong(which % 3 === 0 ? args[0] : objects.any(which))),
  'multiplexer.add': (objects, which, args) =>
    objects.pick('Multiplexer', which)!['add']!(which % 4 === 0 ? args[0] : objects.any(which), ...args.slice(1)),
  'multiplexer.modify': (objects, which, args) =>
    objects.pick('Multiplexer', which)!['modify']!(which % 4 === 0 ? args[0] : objects.any(which), ...args.slice(1)),
  'multiplexer.remove': (objects, which) => objects.pick('Multiplexer', which)!['remove']!(objects.any(which)),
  'multiplexer.wait': (objects, which) => objects.pick('Multiplexer', which)!['wait']!(WAITS[which % WAITS.length]),
  'multiplexer.waitSync': (objects, which, args) =>
    objects.pick('Multiplexer', which)!['waitSync']!(WAITS[which % WAITS.length], ...args),
  'stream.destroy': (objects, which) => objects.pick('stream', which)?.['destroy']!(),
  inspect: (objects, which) => void inspect(objects.any(which)),
  ...methods(),
  ...setters(),
}

function methods(): Record<string, Operation> {
  return each(METHODS, (kind, name) => (objects, which, args) => objects.pick(kind, which)?.[name]!(...args))
}

function setters(): Record<string, Operation> {
  return each(SETTERS, (kind, name) => (objects, which, args) => {
    const target = objects.pick(kind, which) as unknown as Record<string, unknown> | undefined
    if (target) target[name] = args[0]
  })
}

function each(
  names: Readonly<Record<string, readonly string[]>>,
  make: (kind: string, name: string) => Operation,
): Record<string, Operation> {
  const all = Object.entries(names).flatMap(([kind, list]) =>
    list.map((name) => [`${kind}.${name}`, make(kind, name)] as const),
  )
  return Object.fromEntries(all)
}
