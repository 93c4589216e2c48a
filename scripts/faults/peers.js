// The other side, by node:net and in another process than the program under test: no fault concerns it.

import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Checker, CONNECTIONS, DOWN, PEER, pattern, UP } from './pattern.js'

/** Milliseconds for which a peer does not read, so that queues fill. */
const SLOW = 30

/** What the peers of one run have seen. */
export class Peers {
  /** One each: `{ seed, received, isRight, ended, error }`. */
  seen = []
  #sockets = new Set()
  #server
  #folder = mkdtempSync(join(tmpdir(), 'm-socket-faults-'))

  /** An unused path for a Unix socket. */
  get path() {
    return join(this.#folder, 'socket')
  }

  /** Listens: the address for clients, and the descriptor to inherit. */
  async listen(transport) {
    this.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#use(socket))
    const address = transport === 'unix' ? { path: this.path } : { host: '127.0.0.1', port: 0 }
    await new Promise((resolve) => this.#server.listen(address, resolve))
    return transport === 'unix' ? { path: this.path } : { host: '127.0.0.1', port: this.#server.address().port }
  }

  /** A listening descriptor for a program to inherit; `close` it here before anything connects. */
  async listeningDescriptor() {
    const address = await this.listen('tcp')
    return { fd: this.#server._handle.fd, address, close: () => this.#server.close() }
  }

  /** As many connections as a run has. A connection that fails is seen as one. */
  connect(address) {
    for (let count = 0; count < CONNECTIONS; count++)
      this.#use(net.connect({ ...address, allowHalfOpen: true }).pause())
  }

  #use(socket) {
    const checker = new Checker(UP)
    const seen = { checker, ended: false, error: undefined }
    this.seen.push(seen)
    this.#sockets.add(socket)
    socket.on('data', (chunk) => checker.read(chunk))
    socket.on('end', () => (seen.ended = true))
    socket.on('error', (error) => (seen.error = error.code))
    socket.on('close', () => this.#sockets.delete(socket))
    socket.end(pattern(PEER, DOWN))
    setTimeout(() => socket.resume(), SLOW)
  }

  /** Waits until what is under way has come in, and closes everything. */
  async close() {
    const end = performance.now() + 3000
    while (this.#sockets.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
    for (const socket of this.#sockets) socket.destroy()
    this.#server?.close()
    rmSync(this.#folder, { recursive: true, force: true })
    return this.seen.map(({ checker, ended, error }) => {
      const { seed, received, isRight } = checker
      return { seed, received, isRight, ended, error }
    })
  }
}
