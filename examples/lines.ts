// A line protocol, one answer per line: TIME, ECHO text, SUM 1 2 3, HELP, QUIT. Try: nc 127.0.0.1 5002

import { type Connection, SocketError, listen } from 'm-socket'

import { serve } from './cli.js'
import { limitedLines } from './limited-lines.js'

/** Bytes per line. */
const LIMIT = 1024
/** Milliseconds after which an idle client is closed. */
const IDLE = 300_000

const commands: ReadonlyMap<string, (text: string) => string> = new Map([
  ['TIME', () => new Date().toISOString()],
  ['ECHO', (text) => text],
  ['SUM', sum],
  ['HELP', () => [...commands.keys()].join(' ')],
  ['QUIT', () => 'bye'],
])

serve('lines', 5002, (address) => listen({ ...address, idleTimeout: IDLE, socket: { open: answerLines } }))

/** One line after the other: a client that sends and does not read is not read either. */
async function answerLines(connection: Connection): Promise<void> {
  try {
    for await (const line of limitedLines(connection, LIMIT)) {
      await connection.writeAll(`${answer(line)}\n`)
      // Input after QUIT is ignored.
      if (line !== null && isQuit(line)) break
    }
    connection.end()
  } catch (error) {
    // The client is gone.
    if (!(error instanceof SocketError)) throw error
  }
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
