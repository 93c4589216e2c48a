/** One echo between two copies of the library, or one with itself: throws unless the same bytes come back. */
export async function echo({ listen }, { connect }) {
  const server = listen({ port: 0, socket: { data: (connection, chunk) => void connection.write(chunk) } })
  const received = await new Promise((resolve, reject) => {
    const client = connect({
      hostname: '127.0.0.1',
      port: server.port,
      socket: {
        open: (connection) => void connection.write('hello'),
        data(connection, chunk) {
          connection.end()
          resolve(String(chunk))
        },
        error: (connection, error) => reject(error),
      },
    })
    client.catch(reject)
  })
  await server.close({ timeout: 1000 })
  if (received !== 'hello') throw new Error(`expected hello, received ${received}`)
}

/** The same with the streams of a module like node:net. */
export async function echoNet({ connect, createServer }) {
  const server = createServer((socket) => socket.pipe(socket))
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const client = connect(server.address().port, '127.0.0.1').setEncoding('utf8')
  client.end('hello')
  let received = ''
  for await (const chunk of client) received += chunk
  await new Promise((resolve) => server.close(resolve))
  if (received !== 'hello') throw new Error(`expected hello, received ${received}`)
}
