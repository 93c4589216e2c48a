// A daemon at a Unix path that knows the user at the other end: all users may ask, and only its own user and root may
// change something. Try: node unix-daemon.ts /tmp/counter.sock

import process from 'node:process'

import { type Connection, type PeerCredentials, listen } from 'm-socket'

const [path = '/run/counter/counter.sock', mode = '666'] = process.argv.slice(2)

let value = 0
/** What a client may say, and which users may. */
const commands: Record<string, { for: 'all' | 'owner'; run(peer: PeerCredentials, text: string): unknown }> = {
  get: { for: 'all', run: () => value },
  whoami: { for: 'all', run: ({ pid, uid, gid }) => `process ${pid}, user ${uid}, group ${gid}` },
  add: { for: 'owner', run: (_, text) => (value += Number(text)) },
}

const server = listen({
  path,
  mode: parseInt(mode, 8), // in force before anything can connect
  unlink: true, // a stale file at the start, and its own file at the end
  maxConnections: 100,
  idleTimeout: 60_000,
  socket: { open: talk, error: (connection, { message }) => connection.end(`error ${message}\n`) },
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void server.close({ end: true, timeout: 2000 }))
}
console.log(`Listening at ${path}`)

async function talk(connection: Connection): Promise<void> {
  const peer = connection.socket!.getOption('peerCredentials')!
  for await (const line of connection.lines({ limit: 1024 })) await connection.writeAll(`${answer(peer, line)}\n`)
}

function answer(peer: PeerCredentials, line: string): string {
  const [name = '', text = ''] = line.split(' ')
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) return `error commands are ${Object.keys(commands).join(', ')}`
  if (command.for === 'owner' && peer.uid !== 0 && peer.uid !== process.getuid!()) return 'error permission denied'
  return `ok ${command.run(peer, text)}`
}
