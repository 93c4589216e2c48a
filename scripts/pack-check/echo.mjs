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
