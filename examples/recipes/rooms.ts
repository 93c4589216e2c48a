// A line protocol with rooms, JOIN room name, SAY text, WHO, QUIT: node rooms.ts [PORT]
import process from 'node:process'
import { type Connection, listen } from 'm-socket'

/** Bytes of a line; bytes that may be queued for a slow reader; milliseconds to join, and without a line. */
const [LIMIT, LAG, JOIN, IDLE] = [512, 32_768, 30_000, 3_600_000]
const NAME = /^[\w-]{1,20}$/
/** Neither `id`, the room's name, nor `name` is '' once it has joined. `skipped`: lines since the last one sent. */
type Member = Connection<{ id: string; name: string; skipped: number }>

const rooms = new Map<string, Map<string, Member>>()
const newcomer = () => ({ id: '', name: '', skipped: 0 })
const socket = { open: serve, close: leave, error: (it: Member, { message }: Error) => it.end(`ERROR ${message}\n`) }
const limits = { maxConnections: 1000, sendQueueLimit: 2 * LAG, idleTimeout: JOIN }
const server = listen({ host: '127.0.0.1', port: process.argv[2] ?? 5000, ...limits, data: newcomer(), socket })
process.once('SIGTERM', () => server.close({ end: true, timeout: 2000 }))
console.log(`Listening on ${server.host} port ${server.port}`)

async function serve(member: Member): Promise<void> {
  member.data = newcomer()
  for await (const line of member.lines({ limit: LIMIT })) {
    const [verb, ...words] = line.replaceAll(/\p{Cc}/gu, '').split(' ')
    const room = rooms.get(member.data.id)
    if (verb === 'QUIT') break
    else if (verb === 'JOIN' && !room) send(member, join(member, words[0] ?? '', words[1] ?? ''))
    else if (verb === 'SAY' && room) broadcast(room, `${member.data.name}: ${words.join(' ')}`)
    else if (verb === 'WHO' && room) send(member, `OK ${[...room.keys()].join(' ')}`)
    else send(member, room ? 'ERROR say SAY, WHO or QUIT' : 'ERROR say JOIN room name, or QUIT')
  }
  member.shutdown('both')
}

function join(member: Member, id: string, name: string): string {
  if (!NAME.test(id) || !NAME.test(name)) return 'ERROR a room and a name have 1 to 20 letters, digits, _ or -'
  const room = rooms.get(id) ?? new Map<string, Member>()
  if (room.has(name)) return `ERROR ${name} is taken`
  broadcast(room, `* ${name} has joined`)
  rooms.set(id, room.set(name, member))
  member.data = { ...newcomer(), id, name }
  member.timeout(IDLE)
  return `OK ${[...room.keys()].join(' ')}`
}

function leave({ data: { id, name } }: Member): void {
  const room = rooms.get(id)
  if (room?.delete(name)) broadcast(room, `* ${name} has left`)
  if (room?.size === 0) rooms.delete(id)
}

function broadcast(room: Map<string, Member>, line: string): void {
  for (const member of room.values()) send(member, line)
}

/** Sends a line whole or skips it: a slow reader stops no other, and costs no more memory than its queue. */
function send(member: Member, line: string): void {
  if (member.socket!.queued > LAG) return void member.data.skipped++
  const gap = member.data.skipped === 0 ? '' : `* ${member.data.skipped} lines skipped\n`
  member.data.skipped = 0
  member.write(`${gap}${line}\n`)
}
