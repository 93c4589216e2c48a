// The inner peers of relays: one server of node:net for each of them, on a thread that no fault concerns.

import net from 'node:net'
import { parentPort } from 'node:worker_threads'

import { CONNECTIONS, Checker, DOWN, UP, pattern } from '../pattern.js'

/** Begins to listen for one connection, and posts what has become of it. */
function listen(id) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const checker = new Checker(DOWN)
    let ended = false
    server.close()
    socket.on('data', (chunk) => checker.read(chunk))
    socket.on('end', () => (ended = true))
    socket.on('error', () => {})
    socket.on('close', () => {
      const { received, isRight } = checker
      parentPort.postMessage({ id, received, isRight, ended })
    })
    socket.end(pattern(id, UP))
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}

const ids = Array.from({ length: CONNECTIONS }, (_, index) => index + 1)
parentPort.postMessage(await Promise.all(ids.map((id) => listen(id))))
