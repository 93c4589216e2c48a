// A line protocol, one answer per line: TIME, ECHO text, SUM 1 2 3, HELP, QUIT. Try: nc 127.0.0.1 5002

import { type Connection, listen } from 'm-socket'

import { serve } from './cli.js'
import { LineSplitter } from './line-splitter.js'

/** Bytes per line. */
const LIMIT = 1024
/** Milliseconds after which an idle client is closed. */
const IDLE = 300_000

interface Session {
  readonly lines: LineSplitter
  /** Answers that were not accepted yet. */
  unsent: Buffer
}

const commands: ReadonlyMap<string, (text: string) => string> = new Map([
  ['TIME', () => new Date().toISOString()],
  ['ECHO', (text) => text],
  ['SUM', sum],
  ['HELP', () => [...commands.keys()].join(' ')],
  ['QUIT', () => 'bye'],
])

serve('lines', 5002, (address) =>
  listen<Session>({
    ...address,
    idleTimeout: IDLE,
    data: newSession(),
    socket: {
      open(connection) {
        connection.data = newSession()
      },
      data(connection, chunk) {
        // Input after QUIT is ignored.
        if (connection.readyState === 1) handle(connection, chunk)
      },
      drain(connection) {
        if (send(connection, connection.data.unsent)) connection.resume()
      },
    },
  }),
)

function newSession(): Session {
  return { lines: new LineSplitter(LIMIT), unsent: Buffer.alloc(0) }
}

/** Answers all lines of a chunk with one write. */
function handle(connection: Connection<Session>, chunk: Buffer): void {
  let answers = ''
  for (const line of connection.data.lines.push(chunk)) {
    answers += `${answer(line)}\n`
    if (line !== null && isQuit(line)) {
      connection.end(answers)
      return
    }
  }
  // A client that sends and does not read is paused until it reads: `unsent` is bounded by the answers to one chunk.
  if (answers !== '' && !send(connection, Buffer.from(answers))) connection.pause()
}

/** Returns whether all was accepted; the rest is kept for `drain`. */
function send(connection: Connection<Session>, bytes: Buffer): boolean {
  const accepted = connection.write(bytes)
  connection.data.unsent = bytes.subarray(Math.max(0, accepted))
  return accepted === bytes.length
}

function answer(line: string | null): string {
  if (line === null) return `ERROR a line has at most ${LIMIT} bytes`
  const [name, text] = parse(line)
  const command = commands.get(name)
  if (!command) return 'ERROR unknown command, try HELP'
  try {
    return `OK ${command(text)}`
  } catch (error) {
    return `ERROR ${(error as Error).message}`
  }
}

function isQuit(line: string): boolean {
  return parse(line)[0] === 'QUIT'
}

/** The command, in capitals, and what follows the first space. */
function parse(line: string): [name: string, text: string] {
  const [name = ''] = line.split(' ', 1)
  return [name.toUpperCase(), line.slice(name.length + 1)]
}

function sum(text: string): string {
  const words = text.split(' ').filter((word) => word !== '')
  const total = words.reduce((sofar, word) => sofar + Number(word), 0)
  if (!Number.isFinite(total)) throw new RangeError('SUM takes numbers')
  return String(total)
}
