import { type Connection, listen } from 'm-socket'

/** All that have a name. */
const room = new Map<string, Connection>()

const server = listen({ port: process.argv[2] ?? 5001 })
console.log(`Listening on port ${server.port}`)
for await (const connection of server) void serve(connection)

async function serve(connection: Connection) {
  let name = ''
  try {
    send(connection, '* Your name?')
    for await (const line of connection.lines({ limit: 500 })) {
      if (name !== '') broadcast(`${name}: ${line}`, connection)
      else if (line === '' || room.has(line)) send(connection, '* Another name, please')
      else {
        name = line
        room.set(name, connection)
        broadcast(`* ${name} has joined: ${[...room.keys()].join(', ')}`)
      }
    }
  } catch (error) {
    console.log(`${name || 'no name'}: ${(error as Error).message}`)
    connection.terminate()
  } finally {
    if (room.delete(name)) broadcast(`* ${name} has left`)
  }
}

function broadcast(line: string, from?: Connection) {
  for (const connection of room.values()) if (connection !== from) send(connection, line)
}

function send(connection: Connection, line: string) {
  const bytes = Buffer.from(`${line}\n`)
  if (connection.write(bytes) < bytes.length) connection.terminate() // it does not read
}
