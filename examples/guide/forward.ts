import { type Connection, connect, listen } from 'm-socket'

const [port = '5002', target = '5001'] = process.argv.slice(2)
const server = listen({ port, allowHalfOpen: true })
console.log(`Listening on port ${server.port}`)
for await (const client of server) void forward(client)

async function forward(client: Connection) {
  let upstream: Connection | undefined
  try {
    upstream = await connect({ host: '127.0.0.1', port: target, connectTimeout: 2000, allowHalfOpen: true })
    await Promise.all([copy(client, upstream), copy(upstream, client)])
  } catch (error) {
    console.log((error as Error).message)
    client.terminate()
    upstream?.terminate()
  }
}

/** Reads the next chunk when the one before has been accepted; so does the sender, and its sender. */
async function copy(from: Connection, to: Connection) {
  for await (const chunk of from) await to.writeAll(chunk)
  to.end()
}
