// A small Redis: strings only, in memory. Try: redis-benchmark -p 6380 -t ping,set,get -P 16

import { type Connection, listen } from 'm-socket'

import { serve } from './cli.js'
import { ReplyWriter } from './reply-writer.js'
import { CommandParser, ProtocolError } from './resp.js'

/** Bytes of replies after which they are sent before the next command is run. */
const ENOUGH = 65536
/** Milliseconds that a client has to end after our end. */
const PATIENCE = 60_000
const NOTHING = Buffer.alloc(0)

interface Session {
  readonly parser: CommandParser
  /** Replies that were not accepted yet. */
  unsent: Buffer
  /** Further input is ignored. */
  over: boolean
}

interface Command {
  /** The number of arguments, with the name; -2 is at least 2. */
  readonly arity: number
  run(args: Buffer[], session: Session): void
}

/** Keys are latin1, which has a character for each byte. */
const store = new Map<string, Buffer>()
/** One for all connections: each takes its replies before the next one runs. */
const replies = new ReplyWriter()

const commands = new Map<string, Command>([
  ['PING', { arity: -1, run: ([, text]) => (text ? replies.bulk(text) : replies.line('+PONG')) }],
  ['ECHO', { arity: 2, run: ([, text]) => replies.bulk(text!) }],
  ['SET', { arity: 3, run: set }],
  ['GET', { arity: 2, run: ([, key]) => replies.bulk(store.get(nameOf(key!)) ?? null) }],
  ['DEL', { arity: -2, run: (args) => replies.line(`:${count(args, (name) => store.delete(name))}`) }],
  ['EXISTS', { arity: -2, run: (args) => replies.line(`:${count(args, (name) => store.has(name))}`) }],
  ['INCR', { arity: 2, run: increment }],
  ['COMMAND', { arity: -1, run: () => replies.array([]) }],
  ['CONFIG', { arity: -2, run: configure }],
  ['QUIT', { arity: -1, run: quit }],
])

serve('redis', 6380, (address) =>
  listen<Session>({
    ...address,
    data: newSession(),
    socket: {
      open(connection) {
        connection.data = newSession()
      },
      data(connection, chunk) {
        if (connection.data.over) return
        connection.data.parser.push(chunk)
        runAll(connection)
      },
      drain(connection) {
        if (send(connection, connection.data.unsent)) runAll(connection.resume())
      },
    },
  }),
)

function newSession(): Session {
  return { parser: new CommandParser(), unsent: NOTHING, over: false }
}

/** Runs all complete commands; the replies are sent together. */
function runAll(connection: Connection<Session>): void {
  for (let more = true; more;) {
    more = runSome(connection.data)
    const bytes = replies.take()
    if (connection.data.over) {
      connection.end(bytes)
      connection.timeout(PATIENCE)
    } else if (bytes.length > 0 && !send(connection, bytes)) {
      // A client that does not read is paused, so that `unsent` is bounded.
      connection.pause()
      return
    }
  }
}

/** Returns whether there may be more to run. */
function runSome(session: Session): boolean {
  try {
    while (!session.over && replies.length < ENOUGH) {
      const args = session.parser.next()
      if (!args) return false
      run(args, session)
    }
    return !session.over
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    replies.line(`-ERR Protocol error: ${error.message}`)
    session.over = true
    return false
  }
}

/** Returns whether all was accepted; the rest is kept for `drain`. */
function send(connection: Connection<Session>, bytes: Buffer): boolean {
  const accepted = connection.write(bytes)
  if (accepted === bytes.length) {
    connection.data.unsent = NOTHING
    return true
  }
  connection.data.unsent = Buffer.from(bytes.subarray(Math.max(0, accepted)))
  return false
}

function run(args: Buffer[], session: Session): void {
  const name = args[0]!.toString('latin1')
  const command = commands.get(name) ?? commands.get(name.toUpperCase())
  if (!command) return replies.line(`-ERR unknown command '${name.slice(0, 128).replaceAll(/[^ -~]/g, '?')}'`)
  const { arity } = command
  if (arity < 0 ? args.length < -arity : args.length !== arity) {
    return replies.line(`-ERR wrong number of arguments for '${name.toLowerCase()}' command`)
  }
  command.run(args, session)
}

function nameOf(key: Buffer): string {
  return key.toString('latin1')
}

function count([, ...keys]: Buffer[], holds: (name: string) => boolean): number {
  return keys.filter((key) => holds(nameOf(key))).length
}

/** A small value is copied, so that a few bytes do not keep a whole chunk in memory. */
function set([, key, value]: Buffer[]): void {
  store.set(nameOf(key!), 2 * value!.length < value!.buffer.byteLength ? Buffer.from(value!) : value!)
  replies.line('+OK')
}

function increment([, key]: Buffer[]): void {
  const name = nameOf(key!)
  const text = store.get(name)?.toString('latin1', 0, 21) ?? '0'
  const sum = /^(0|-?[1-9]\d{0,18})$/.test(text) ? BigInt(text) + 1n : undefined
  if (sum === undefined || BigInt.asIntN(64, sum - 1n) !== sum - 1n)
    return replies.line('-ERR value is not an integer or out of range')
  if (BigInt.asIntN(64, sum) !== sum) return replies.line('-ERR increment or decrement would overflow')
  store.set(name, Buffer.from(String(sum)))
  replies.line(`:${sum}`)
}

/** redis-benchmark asks for the settings of persistence: there is none. */
function configure([, verb, name]: Buffer[]): void {
  if (verb!.toString('latin1').toUpperCase() !== 'GET' || !name)
    return replies.line('-ERR only CONFIG GET name is known')
  const value = new Map([
    ['save', ''],
    ['appendonly', 'no'],
  ]).get(name.toString('latin1').toLowerCase())
  replies.array(value === undefined ? [] : [name, Buffer.from(value)])
}

function quit(_: Buffer[], session: Session): void {
  replies.line('+OK')
  session.over = true
}
