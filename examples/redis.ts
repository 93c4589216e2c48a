// A small Redis: strings only, in memory. Try: redis-benchmark -p 6380 -t ping,set,get -P 16

import { type Connection, listen } from 'm-socket'

import { Answers } from './answers.js'
import { serve } from './program.js'
import { CommandParser, ProtocolError } from './resp.js'

/** Bytes of answers after which no further command is run before these are on their way. */
const ENOUGH = 65536
/** Milliseconds for a client's end after ours. */
const PATIENCE = 60_000
const NOTHING = Buffer.alloc(0)

interface Session {
  readonly parser: CommandParser
  /** Answers that there was no room for. */
  unsent: Buffer
  /** Nothing is heard any more. */
  over: boolean
}

interface Command {
  /** How many arguments, with the name; of -2 at least 2. */
  readonly arity: number
  run(args: Buffer[], session: Session): void
}

/** Keys as latin1, which gives each byte a character. */
const store = new Map<string, Buffer>()
/** One for all: none is gathered while another is. */
const answers = new Answers()

const commands = new Map<string, Command>([
  ['PING', { arity: -1, run: ([, text]) => (text ? answers.bulk(text) : answers.line('+PONG')) }],
  ['ECHO', { arity: 2, run: ([, text]) => answers.bulk(text!) }],
  ['SET', { arity: 3, run: set }],
  ['GET', { arity: 2, run: ([, key]) => answers.bulk(store.get(nameOf(key!)) ?? null) }],
  ['DEL', { arity: -2, run: (args) => answers.line(`:${count(args, (name) => store.delete(name))}`) }],
  ['EXISTS', { arity: -2, run: (args) => answers.line(`:${count(args, (name) => store.has(name))}`) }],
  ['INCR', { arity: 2, run: increment }],
  ['COMMAND', { arity: -1, run: () => answers.array([]) }],
  ['CONFIG', { arity: -2, run: configure }],
  ['QUIT', { arity: -1, run: quit }],
])

serve('redis', 6380, (place) =>
  listen<Session>({
    ...place,
    socket: {
      open(connection) {
        connection.data = { parser: new CommandParser(), unsent: NOTHING, over: false }
      },
      data(connection, chunk) {
        if (connection.data.over) return
        connection.data.parser.push(chunk)
        answerAll(connection)
      },
      drain(connection) {
        if (send(connection, connection.data.unsent)) answerAll(connection.resume())
      },
    },
  }),
)

/** Runs what has come; the answers leave together. */
function answerAll(connection: Connection<Session>): void {
  for (let more = true; more;) {
    more = runSome(connection.data)
    const bytes = answers.take()
    if (connection.data.over) {
      connection.end(bytes)
      connection.timeout(PATIENCE)
    } else if (bytes.length > 0 && !send(connection, bytes)) {
      // Who does not read is not listened to: what waits here is bounded.
      connection.pause()
      return
    }
  }
}

/** Whether there may be more to run. */
function runSome(session: Session): boolean {
  try {
    while (!session.over && answers.length < ENOUGH) {
      const args = session.parser.next()
      if (!args) return false
      run(args, session)
    }
    return !session.over
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    answers.line(`-ERR Protocol error: ${error.message}`)
    session.over = true
    return false
  }
}

/** Whether all has been taken; the rest waits for `drain`. */
function send(connection: Connection<Session>, bytes: Buffer): boolean {
  const taken = connection.write(bytes)
  if (taken === bytes.length) {
    connection.data.unsent = NOTHING
    return true
  }
  connection.data.unsent = Buffer.from(bytes.subarray(Math.max(0, taken)))
  return false
}

function run(args: Buffer[], session: Session): void {
  const name = args[0]!.toString('latin1')
  const command = commands.get(name) ?? commands.get(name.toUpperCase())
  if (!command) return answers.line(`-ERR unknown command '${name.slice(0, 128).replaceAll(/[^ -~]/g, '?')}'`)
  const { arity } = command
  if (arity < 0 ? args.length < -arity : args.length !== arity) {
    return answers.line(`-ERR wrong number of arguments for '${name.toLowerCase()}' command`)
  }
  command.run(args, session)
}

function nameOf(key: Buffer): string {
  return key.toString('latin1')
}

function count([, ...keys]: Buffer[], holds: (name: string) => boolean): number {
  return keys.filter((key) => holds(nameOf(key))).length
}

/** A value is copied, lest a few bytes keep a chunk in memory; one that is most of its memory keeps it. */
function set([, key, value]: Buffer[]): void {
  store.set(nameOf(key!), 2 * value!.length < value!.buffer.byteLength ? Buffer.from(value!) : value!)
  answers.line('+OK')
}

function increment([, key]: Buffer[]): void {
  const name = nameOf(key!)
  const text = store.get(name)?.toString('latin1', 0, 21) ?? '0'
  const sum = /^(0|-?[1-9]\d{0,18})$/.test(text) ? BigInt(text) + 1n : undefined
  if (sum === undefined || BigInt.asIntN(64, sum - 1n) !== sum - 1n)
    return answers.line('-ERR value is not an integer or out of range')
  if (BigInt.asIntN(64, sum) !== sum) return answers.line('-ERR increment or decrement would overflow')
  store.set(name, Buffer.from(String(sum)))
  answers.line(`:${sum}`)
}

/** redis-benchmark asks how the data is kept: it is not. */
function configure([, verb, name]: Buffer[]): void {
  if (verb!.toString('latin1').toUpperCase() !== 'GET' || !name)
    return answers.line('-ERR only CONFIG GET name is known')
  const value = new Map([
    ['save', ''],
    ['appendonly', 'no'],
  ]).get(name.toString('latin1').toLowerCase())
  answers.array(value === undefined ? [] : [name, Buffer.from(value)])
}

function quit(_: Buffer[], session: Session): void {
  answers.line('+OK')
  session.over = true
}
