// Loaded before the program: counts the sockets that it creates, and those of them that are ours, and prints both as
// one line of JSON when the process ends: `{ "sockets": { "all": 3, "ours": 3 } }`.

import { subscribe } from 'node:diagnostics_channel'
import process from 'node:process'

const all = new Set()

for (const name of ['net.client.socket', 'net.server.socket']) subscribe(name, ({ socket }) => all.add(socket))

process.on('exit', () => {
  // Only ours have the socket beneath as a property.
  const ours = [...all].filter((socket) => 'socket' in socket).length
  process.stdout.write(`${JSON.stringify({ sockets: { all: all.size, ours } })}\n`)
})
