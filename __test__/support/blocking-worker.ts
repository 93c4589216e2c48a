import { parentPort, workerData } from 'node:worker_threads'

import { Socket } from 'm-socket'

/** What the worker does with its blocking socket; each script returns its report. */
const scripts = {
  receive(socket: Socket) {
    const before = socket.receive(into)
    socket.blocking = true
    post('receives')
    const first = socket.receive(into)
    const text = into.toString('latin1', 0, first ?? 0)
    post('receives again')
    return { before, first, text, second: socket.receive(into) }
  },

  send(socket: Socket) {
    socket.blocking = true
    post('sends')
    const status = socket.send(Buffer.alloc(16 << 20, 'a'))
    return { status, queued: socket.queued, sent: socket.bytesSent }
  },

  echo(socket: Socket) {
    socket.blocking = true
    const status = socket.send('hello')
    const received = socket.receive(into)
    return { status, received, text: into.toString('latin1', 0, received ?? 0) }
  },
}

const into = Buffer.alloc(100)
const { to, script } = workerData as { to: { host: string; port: number }; script: keyof typeof scripts }

let warnings = 0
// Node 26 deprecates a function that the TypeScript loader calls.
process.on('warning', ({ name }) => name !== 'DeprecationWarning' && warnings++)

function post(message: unknown): void {
  parentPort?.postMessage(message)
}

const socket = Socket.connect(to)
const report = scripts[script](socket)
socket.close()
setImmediate(() => post({ ...report, warnings }))
