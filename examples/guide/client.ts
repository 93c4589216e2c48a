import { connect } from 'm-socket'

const connection = await connect({ host: 'localhost', port: process.argv[2] ?? 5000 })
await connection.writeAll('one\ntwo\nthree\n')
connection.end()
for await (const line of connection.lines({ limit: 1000 })) console.log(`echo: ${line}`)
