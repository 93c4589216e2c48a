import {
  type DetachedSocket,
  type Event,
  type Interest,
  Listener,
  type Mode,
  Multiplexer,
  type SendStatus,
  Socket,
  type Target,
} from 'm-socket'

import { same } from './equal.js'

const socket = Socket.connect({ host: '127.0.0.1', port: 1 })
const buffer = new Uint8Array(8)

same<ReturnType<Socket['receive']>, number | null>()
same<ReturnType<Socket['peek']>, number | null>()
same<ReturnType<Socket['send']>, SendStatus>()
same<SendStatus, 'sent' | 'partially-sent' | 'queued' | 'not-sent' | 'closed'>()
same<ReturnType<Listener['accept']>, Socket | null>()
same<ReturnType<typeof Listener.bindHost>, Promise<Listener>>()
same<ReturnType<Socket['detach']>, DetachedSocket>()
same<ReturnType<typeof Socket.attach>, Socket>()
same<ReturnType<Listener['detach']>, number>()
same<Interest, 'r' | 'w' | 'rw'>()
same<Mode, 'edge' | 'level' | 'oneshot'>()

socket.send('text')
socket.send(buffer, 0, 8)
socket.send([buffer, Buffer.alloc(1)])
// @ts-expect-error sockets are made by connect, accept and adopt
new Socket()
// @ts-expect-error a number is not data
socket.send(1)
// @ts-expect-error an array of strings is not data
socket.send(['text'])
// @ts-expect-error a string is not a buffer
socket.receive('text')

const multiplexer = new Multiplexer(socket)
multiplexer.add(socket, 'rw', 'level')
multiplexer.add({ fd: 0 }, 'r')
// @ts-expect-error there is no such mode
multiplexer.add(socket, 'rw', 'sometimes')
// @ts-expect-error there is no such interest
multiplexer.modify(socket, 'x')

export async function events(): Promise<void> {
  for (const event of await multiplexer.wait(0)) {
    same<(typeof event)['readable'], boolean>()
    const target: Target = event.target
    // @ts-expect-error an event is read only
    event.readable = true
    void target
  }
  const listener = Listener.bind({ port: 0 })
  const only: Event<Listener> = {
    target: listener,
    readable: true,
    writable: false,
    readEnded: false,
    hangup: false,
    error: false,
  }
  same<(typeof only)['target'], Listener>()
}
