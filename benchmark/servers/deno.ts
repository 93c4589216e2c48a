// Deno.listen with read() and write().

import { announce, mode } from './support/control.js'

interface DenoConnection {
  read(into: Uint8Array): Promise<number | null>
  write(data: Uint8Array): Promise<number>
  setNoDelay(): void
  close(): void
}

declare const Deno: {
  listen(options: object): AsyncIterable<DenoConnection> & { addr: { port: number } }
}

const listener = Deno.listen({ hostname: '127.0.0.1', port: 0, tcpBacklog: 4096 })

announce(listener.addr.port)

for await (const connection of listener) void serve(connection)

async function serve(connection: DenoConnection): Promise<void> {
  connection.setNoDelay()
  const buffer = new Uint8Array(65536)
  let received = 0
  try {
    for (let count; (count = await connection.read(buffer)) !== null; received += count) {
      if (mode === 'echo') await writeAll(connection, buffer.subarray(0, count))
    }
    if (mode === 'sink') await writeAll(connection, new TextEncoder().encode(String(received)))
  } catch {
    // The peer has reset the connection.
  }
  connection.close()
}

async function writeAll(connection: DenoConnection, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent))
}
