// A chat. The first line is a nick name, each further one is told to all others; /who and /quit. Try: nc 127.0.0.1 5001

import { type Connection, listen } from 'm-socket'

import { LineSplitter } from './line-splitter.js'
import { serve } from './program.js'

/** Bytes of a line. */
const LIMIT = 512
/** Bytes that wait for a slow reader; lines beyond are skipped. */
const LAG = 32768
/** Milliseconds for a nick name, and for a guest's end after ours. */
const PATIENCE = 60_000
const NICK = /^[\p{L}\p{N}_-]{1,20}$/u

interface Guest {
  readonly lines: LineSplitter
  /** '' until it is told. */
  nick: string
  /** Lines skipped since the last one that was said. */
  missed: number
}

/** Those who have a nick name. */
const room = new Map<string, Connection<Guest>>()

serve('chat', 5001, (place) =>
  listen<Guest>({
    ...place,
    // Who vanishes without a word is missed after a while: 2 hours, unless net.ipv4.tcp_keepalive_time says otherwise.
    keepAlive: true,
    maxConnections: 1000,
    // Behind what lags there is room for the longest line, which names a thousand guests in 80 bytes each.
    highWaterMark: 4 * LAG,
    socket: {
      open(connection) {
        connection.data = { lines: new LineSplitter(LIMIT), nick: '', missed: 0 }
        connection.timeout(PATIENCE)
        say(connection, '* Your nick name?')
      },
      data(connection, chunk) {
        for (const line of connection.data.lines.push(chunk)) {
          // After our end nothing more is heard.
          if (connection.readyState !== 1) return
          if (line === null) say(connection, `* A line has at most ${LIMIT} bytes`)
          else hear(connection, plain(line))
        }
      },
      close: leave,
    },
  }),
)

/** Control characters would do things to the terminals of others. */
function plain(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, '').trim()
}

function hear(connection: Connection<Guest>, line: string): void {
  const { nick } = connection.data
  if (line === '/quit') bid(connection)
  else if (nick === '') enter(connection, line)
  else if (line === '/who') say(connection, `* Here: ${[...room.keys()].join(', ')}`)
  else if (line !== '') tell(`${nick}: ${line}`, connection)
}

function enter(connection: Connection<Guest>, nick: string): void {
  if (!NICK.test(nick)) return say(connection, '* 1 to 20 letters, digits, _ or -, please')
  if (room.has(nick)) return say(connection, `* ${nick} is taken`)
  connection.data.nick = nick
  connection.timeout(0)
  room.set(nick, connection)
  say(connection, `* Welcome, ${nick}. Here: ${[...room.keys()].join(', ')}`)
  tell(`* ${nick} has joined`, connection)
}

function bid(connection: Connection<Guest>): void {
  leave(connection)
  connection.end('* Bye\n')
  connection.timeout(PATIENCE)
}

function leave(connection: Connection<Guest>): void {
  const { nick } = connection.data
  if (room.get(nick) !== connection) return
  room.delete(nick)
  tell(`* ${nick} has left`, connection)
}

function tell(line: string, from: Connection<Guest>): void {
  for (const connection of room.values()) if (connection !== from) say(connection, line)
}

/** A line arrives whole or not at all; how many did not, the next one says. */
function say(connection: Connection<Guest>, line: string): void {
  const guest = connection.data
  if (connection.socket!.queued > LAG) guest.missed++
  else {
    connection.write(guest.missed === 0 ? `${line}\n` : `* ${guest.missed} lines skipped\n${line}\n`)
    guest.missed = 0
  }
}
