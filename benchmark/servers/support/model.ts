// An echo server with sockets and events, as in the README.

import { Listener, Multiplexer, type ReadyEvent, type Socket } from 'm-socket'

import { has, mode } from './control.js'

const buffer = Buffer.alloc(65536)

export const listener = Listener.bind({ host: '127.0.0.1', port: 0, backlog: 4096, noDelay: true })
export const multiplexer = new Multiplexer()
multiplexer.add(listener, 'r')
if (has('--spin')) multiplexer.spin = 0.2

export const port = (listener.address as { port: number }).port

export function serve(event: ReadyEvent): void {
  if (event.target === listener) welcome()
  else if (mode === 'echo') echo(event.target as Socket, event.readable)
  else count(event.target as Socket)
}

function welcome(): void {
  for (let socket; (socket = listener.accept());) multiplexer.add(socket, 'r')
}

function echo(socket: Socket, readable: boolean): void {
  try {
    const count = readable ? socket.receive(buffer) : null
    if (count === 0) socket.close()
    else if (count === null) multiplexer.modify(socket, 'r')
    else if (socket.send(buffer, 0, count) !== 'sent') multiplexer.modify(socket, 'w')
  } catch {
    socket.close()
  }
}

function count(socket: Socket): void {
  try {
    if (socket.receive(buffer) !== 0) return
    socket.send(String(socket.bytesReceived))
    socket.close()
  } catch {
    socket.close()
  }
}
