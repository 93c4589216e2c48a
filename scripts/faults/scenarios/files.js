// connection.sendFile(), behind what was written.

import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CONNECTIONS, UP } from '../pattern.js'

/** The bytes that are written before the file. */
const BEFORE = 100

async function sendFiles({ library, log, options }) {
  const socket = {
    open: (connection) => void sendOne(connection.data, connection),
    data: ({ data: side }, chunk) => side.data(chunk),
    end: ({ data: side }) => side.end(),
    error: ({ data: side }, error) => side.error('error', error),
    close: ({ data: side }, error) => side.close(error),
  }
  const all = Array.from({ length: CONNECTIONS }, async () => {
    const side = log.side()
    try {
      const to = { ...options.address, sendBufferSize: 16_384, allowHalfOpen: true, socket, data: side }
      const connection = await library.connect(to)
      log.cleanups.push(() => connection.terminate())
    } catch (error) {
      side.error('reject', error)
    }
  })
  await Promise.all(all)
  await log.allSettled(CONNECTIONS)
}

async function sendOne(side, connection) {
  const path = join(tmpdir(), `m-socket-fault-${process.pid}-${side.id}`)
  const fd = openSync(path, 'w+')
  writeSync(fd, side.bytes)
  rmSync(path)
  side.open()
  side.accepted = connection.write(side.bytes, 0, BEFORE)
  try {
    const sent = connection.sendFile(fd, { start: side.accepted })
    side.accepted = UP
    connection.end()
    await sent
  } catch (error) {
    // The connection's own error goes to its handler, too.
    if (error.syscall === 'sendfile') side.error('reject', error)
  }
  try {
    closeSync(fd)
  } catch {
    // The fault.
  }
}

/** See `SCENARIOS`. */
export const FILES = {
  'connection sends a file': { level: 'handlers', role: 'client', transports: ['tcp', 'unix'], run: sendFiles },
}
