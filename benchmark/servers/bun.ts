// Bun.listen.

import { announce, mode } from './support/control.js'

interface BunSocket {
  data: { received: number; rest: Uint8Array | undefined }
  write(data: Uint8Array | string): number
  end(data?: string): number
  pause(): void
  resume(): void
}

declare const Bun: {
  gc(force: boolean): void
  listen(options: object): { port: number }
}

Object.assign(globalThis, { gc: () => Bun.gc(true) })

const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  allowHalfOpen: mode === 'sink',
  socket: {
    open(socket: BunSocket) {
      socket.data = { received: 0, rest: undefined }
    },
    data(socket: BunSocket, chunk: Uint8Array) {
      if (mode === 'sink') return void (socket.data.received += chunk.length)
      const taken = socket.write(chunk)
      if (taken === chunk.length || taken < 0) return
      socket.data.rest = chunk.slice(taken)
      socket.pause()
    },
    drain(socket: BunSocket) {
      const { rest } = socket.data
      if (!rest) return
      const taken = socket.write(rest)
      if (taken < rest.length) return void (socket.data.rest = rest.subarray(taken))
      socket.data.rest = undefined
      socket.resume()
    },
    end(socket: BunSocket) {
      if (mode === 'sink') socket.end(String(socket.data.received))
    },
  },
})

announce(server.port)
