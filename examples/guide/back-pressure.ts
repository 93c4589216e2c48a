import { connect, listen } from 'm-socket'

const answer = Buffer.alloc(50_000_000, 'x')
const server = listen({ host: '127.0.0.1' })
const client = await connect({ host: '127.0.0.1', port: server.port })

for await (const connection of server) {
  // The client does not read yet.
  const accepted = connection.write(answer)
  console.log(`write accepted ${accepted} bytes, ${connection.socket!.queued} of them wait in the queue`)
  console.log(`a second write accepted ${connection.write(answer, accepted)}`)
  const sent = connection.writeAll(answer.subarray(accepted)).then(() => connection.end())

  // Now it does.
  let received = 0
  for await (const chunk of client) received += chunk.length
  await sent
  console.log(`the client has ${received} bytes`)
  server.stop()
}
