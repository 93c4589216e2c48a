// A chat. The first line is a nick name, each further one is sent to all others; /who and /quit. Try: nc 127.0.0.1 5001

import { type Connection, SocketError, listen } from 'm-socket'

import { serve } from './cli.js'
import { limitedLines } from './limited-lines.js'

/** Bytes per line. */
const LIMIT = 512
/** Bytes that may be queued for a slow reader; further lines are skipped. */
const LAG = 32768
/** Milliseconds to choose a nick name, and to end after our end. */
const PATIENCE = 60_000
const NICK = /^[\p{L}\p{N}_-]{1,20}$/u

interface User {
  /** '' until it is chosen. */
  nick: string
  /** Lines skipped since the last one that was sent. */
  skipped: number
}

/** All users with a nick name. */
const room = new Map<string, Connection<User>>()

serve('chat', 5001, (address) =>
  listen<User>({
    ...address,
    // Detects clients that vanish: after 2 hours, unless net.ipv4.tcp_keepalive_time is set to another time.
    keepAlive: true,
    maxConnections: 1000,
    // Behind LAG bytes there is room for the longest line, which names a thousand users in 80 bytes each.
    sendQueueLimit: 4 * LAG,
    data: newUser(),
    socket: {
      open: welcome,
      close: leave,
    },
  }),
)

function newUser(): User {
  return { nick: '', skipped: 0 }
}

async function welcome(connection: Connection<User>): Promise<void> {
  connection.data = newUser()
  connection.timeout(PATIENCE)
  send(connection, '* Your nick name?')
  try {
    for await (const line of limitedLines(connection, LIMIT)) {
      // Input after our end is ignored.
      if (connection.readyState !== 1) return
      if (line === null) send(connection, `* A line has at most ${LIMIT} bytes`)
      else handle(connection, printable(line))
    }
  } catch (error) {
    // The client is gone: `close` has been called.
    if (!(error instanceof SocketError)) throw error
  }
}

/** Without control characters, which would change the terminals of others. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, '').trim()
}

function handle(connection: Connection<User>, line: string): void {
  const { nick } = connection.data
  if (line === '/quit') quit(connection)
  else if (nick === '') enter(connection, line)
  else if (line === '/who') send(connection, `* Here: ${[...room.keys()].join(', ')}`)
  else if (line !== '') broadcast(`${nick}: ${line}`, connection)
}

function enter(connection: Connection<User>, nick: string): void {
  if (!NICK.test(nick)) return send(connection, '* 1 to 20 letters, digits, _ or -, please')
  if (room.has(nick)) return send(connection, `* ${nick} is taken`)
  connection.data.nick = nick
  connection.timeout(0)
  room.set(nick, connection)
  send(connection, `* Welcome, ${nick}. Here: ${[...room.keys()].join(', ')}`)
  broadcast(`* ${nick} has joined`, connection)
}

function quit(connection: Connection<User>): void {
  leave(connection)
  connection.end('* Bye\n')
  connection.timeout(PATIENCE)
}

function leave(connection: Connection<User>): void {
  const { nick } = connection.data
  if (room.get(nick) !== connection) return
  room.delete(nick)
  broadcast(`* ${nick} has left`, connection)
}

function broadcast(line: string, from: Connection<User>): void {
  for (const connection of room.values()) if (connection !== from) send(connection, line)
}

/** Sends a line whole or skips it; the next line that is sent is preceded by the number of skipped ones. */
function send(connection: Connection<User>, line: string): void {
  const user = connection.data
  if (connection.socket!.queued > LAG) user.skipped++
  else {
    connection.write(user.skipped === 0 ? `${line}\n` : `* ${user.skipped} lines skipped\n${line}\n`)
    user.skipped = 0
  }
}
