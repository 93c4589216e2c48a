// Socket, Listener and Multiplexer.

import { CONNECTIONS, UP } from '../pattern.js'

const SMALL = { sendBufferSize: 16_384 }
/** Milliseconds between two attempts of what failed for lack of memory or descriptors. */
const PAUSE = 50
/**
 * The bytes with which descriptors are passed. The peers are node:net's, and libuv takes a short read, as there is one
 * after each of them, for the end once both halves have ended (`uv__stream_io` in src/unix/stream.c).
 */
const MOST_PASSED = UP / 3

/** A multiplexer's targets and the sides of its sockets. */
class Loop {
  #log
  #multiplexer
  #sides = new Map()
  #sockets = []
  #listener
  #expected
  #passes

  /** @param passes whether descriptors are sent with the bytes, and received with them */
  constructor(log, multiplexer, expected, passes = false) {
    this.#log = log
    this.#multiplexer = multiplexer
    this.#expected = expected
    this.#passes = passes
    log.cleanups.push(() => multiplexer.close())
  }

  get isDone() {
    return this.#log.sides.filter(({ isSettled }) => isSettled).length >= this.#expected
  }

  /** Whether the last bytes of a closed socket are still queued. */
  get isClosing() {
    return this.#sockets.some(({ state }) => state === 'closing')
  }

  listen(listener) {
    this.#listener = listener
    this.#multiplexer.add(listener, 'r')
  }

  /** Adds a socket; one that cannot be watched is reset. */
  add(socket, side) {
    this.#log.cleanups.push(() => socket.reset())
    this.#sockets.push(socket)
    try {
      this.#multiplexer.add(socket)
      this.#sides.set(socket, side)
    } catch (error) {
      socket.reset()
      this.#lose(side, error)
    }
  }

  handle(events) {
    for (const { target, readable, writable, error } of events) {
      if (target === this.#listener) this.#accept()
      else this.#use(target, readable || error, writable)
    }
  }

  #accept() {
    for (;;) {
      try {
        const socket = this.#listener.accept()
        if (socket === null) return
        this.add(socket, this.#log.side())
      } catch (error) {
        return this.#log.thrown('accept', error)
      }
    }
  }

  #use(socket, readable, writable) {
    const side = this.#sides.get(socket)
    if (!side || side.isSettled) return
    try {
      if (writable && side.opened === 0 && socket.state === 'open') this.#opened(socket, side)
      if (writable) this.#send(socket, side)
      if (readable) this.#receive(socket, side)
    } catch (error) {
      this.#failed(socket, side, error)
    }
    if (side.ended && side.isSent && !side.isSettled && socket.queued === 0) this.#finish(socket, side)
  }

  #opened(socket, side) {
    side.open()
    this.#log.attempt('getOption', () => socket.getOption('sendBufferSize'))
    void [socket.localAddress, socket.remoteAddress]
  }

  #send(socket, side) {
    if (side.opened === 0 || side.isSent) return
    while (side.rest.length > 0) {
      const pieces = [side.rest.subarray(0, 500), side.rest.subarray(500, 9000)]
      const isFirst = side.accepted === 0
      const data = isFirst ? side.rest.subarray(0, 400) : pieces
      const passes = this.#passes && side.accepted < MOST_PASSED
      const status = passes ? socket.sendDescriptors([0, 1], data) : socket.send(data)
      // The reason is thrown by receive.
      if (status === 'closed') return this.#receive(socket, side)
      if (status === 'not-sent') return
      side.accepted += isFirst ? data.length : pieces[0].length + pieces[1].length
    }
    side.isSent = true
    socket.shutdown()
  }

  #receive(socket, side) {
    const into = Buffer.alloc(8192)
    for (;;) {
      const count = this.#passes ? (socket.receiveDescriptors(into)?.length ?? null) : socket.receive(into)
      if (count === null) return
      if (count === 0) return side.end()
      side.data(into.subarray(0, count))
    }
  }

  /** What broke the socket has closed it. Otherwise it goes on: the same is tried again. */
  #failed(socket, side, error) {
    if (socket.state === 'closed') return this.#lose(side, error)
    if (side.errors.length === 0) side.error('throw', error)
    else side.repeats = (side.repeats ?? 0) + 1
    if (side.repeats > 100 || error.code === 'ENOTCONN') {
      socket.reset()
      return this.#settle(side)
    }
    // Only what was thrown: a failed shutdown is called again.
    if (side.isSent && !socket.writeEnded) side.isSent = false
    setTimeout(() => socket.state === 'open' && this.#use(socket, true, true), PAUSE)
  }

  #lose(side, error) {
    side.error('throw', error)
    this.#settle(side)
  }

  #finish(socket, side) {
    socket.close()
    this.#settle(side)
  }

  #settle(side) {
    if (side.opened > 0) side.close(undefined)
    side.isSettled = true
    if (this.isDone) this.#multiplexer.wake()
  }
}

async function turns(log, multiplexer, loop, isSynchronous) {
  while (!loop.isDone || loop.isClosing) {
    const limit = loop.isDone ? 5 : 500
    try {
      loop.handle(isSynchronous ? multiplexer.waitSync(20) : await multiplexer.wait(limit))
    } catch (error) {
      log.thrown('wait', error, isSynchronous ? 'throw' : 'reject')
    }
    if (isSynchronous) await new Promise((resolve) => setTimeout(resolve, 1))
    else if (log.errors.length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A multiplexer that Node's loop watches already. */
async function warm({ library }) {
  const multiplexer = new library.Multiplexer()
  await multiplexer.wait(5)
  return multiplexer
}

async function serve({ library, log, options, say, prepared }, passes = false) {
  const multiplexer = prepared ?? log.attempt('new Multiplexer', () => new library.Multiplexer())
  if (!multiplexer) return
  const loop = new Loop(log, multiplexer, CONNECTIONS, passes)
  const listener = log.attempt('bind', () => library.Listener.bind({ ...options.listening, ...SMALL, keepAlive: true }))
  if (!listener) return
  log.cleanups.push(() => listener.close())
  void listener.address
  try {
    loop.listen(listener)
  } catch (error) {
    return log.thrown('add', error)
  }
  say({ isListening: true })
  await turns(log, multiplexer, loop, false)
}

async function dial({ library, log, options, prepared }, isSynchronous, passes = false) {
  const multiplexer = prepared ?? log.attempt('new Multiplexer', () => new library.Multiplexer())
  if (!multiplexer) return
  const loop = new Loop(log, multiplexer, CONNECTIONS, passes)
  for (let count = 0; count < CONNECTIONS; count++) {
    const side = log.side()
    const local = options.transport === 'unix' ? {} : { localAddress: '127.0.0.1' }
    try {
      loop.add(library.Socket.connect({ ...options.address, ...local, ...SMALL, keepAlive: true }), side)
    } catch (error) {
      side.error('throw', error)
      side.isSettled = true
    }
  }
  await turns(log, multiplexer, loop, isSynchronous)
}

async function adopt({ library, log, prepared }) {
  const multiplexer = prepared ?? log.attempt('new Multiplexer', () => new library.Multiplexer())
  if (!multiplexer) return
  const loop = new Loop(log, multiplexer, 1)
  const socket = log.attempt('adopt', () => library.Socket.adopt(3))
  if (!socket) return
  loop.add(socket, log.side())
  await turns(log, multiplexer, loop, false)
}

/** Closes with a queue, in no multiplexer: the shared poller sends it. */
async function closeWithQueue({ library, log, options }) {
  const sockets = []
  for (let count = 0; count < CONNECTIONS; count++) {
    const side = log.side()
    let socket
    try {
      socket = library.Socket.connect({ ...options.address, ...SMALL })
      log.cleanups.push(() => socket.reset())
      side.open()
      socket.sendQueueLimit = UP
      if (!['closed', 'not-sent'].includes(socket.send(side.bytes))) side.accepted = UP
      sockets.push([socket, side])
      socket.close()
    } catch (error) {
      side.error('throw', error)
      socket?.reset()
      if (side.opened > 0) side.close(error)
    }
  }
  while (sockets.some(([socket]) => socket.state !== 'closed')) await new Promise((resolve) => setTimeout(resolve, 5))
  for (const [, side] of sockets.filter(([, { closed }]) => closed === 0)) {
    side.ended = true
    side.close(undefined)
  }
}

/** Opens a multiplexer, waits by the clock, wakes and closes it; one with a poll thread too, as on Bun and Deno. */
async function live({ library, native, log }) {
  for (let round = 0; round < 2; round++) {
    const multiplexer = log.attempt('new Multiplexer', () => new library.Multiplexer())
    if (!multiplexer) continue
    log.cleanups.push(() => multiplexer.close())
    const listener = log.attempt('bind', () => library.Listener.bind({ host: '127.0.0.1', port: 0 }))
    try {
      if (listener) multiplexer.add(listener, 'r')
      await multiplexer.wait(20)
      setTimeout(() => multiplexer.wake(), 10)
      await multiplexer.wait()
      multiplexer.waitSync(20)
    } catch (error) {
      log.thrown('wait', error, 'reject')
    }
    listener?.close()
    multiplexer.close()
    const threaded = native.openMultiplexer(() => {}, true)
    if (threaded < 0) log.thrown('openMultiplexer', new library.SocketError('', 'E', { syscall: 'eventfd2' }))
    else native.closeMultiplexer(threaded)
  }
}

const BOTH = ['tcp', 'unix']
const TCP = ['tcp']
const UNIX = ['unix']
const client = { level: 'model', role: 'client', transports: TCP }

/** See `SCENARIOS`. */
export const MODEL = {
  'Listener in a Multiplexer': { level: 'model', role: 'server', transports: BOTH, warm, run: serve },
  'Sockets in a Multiplexer': { ...client, transports: BOTH, warm, run: (context) => dial(context, false) },
  'Sockets by waitSync': { ...client, warm, run: (context) => dial(context, true) },
  'a Listener whose Sockets pass descriptors': {
    level: 'model',
    role: 'server',
    transports: UNIX,
    warm,
    run: (context) => serve(context, true),
  },
  'Sockets that pass descriptors': { ...client, transports: UNIX, warm, run: (context) => dial(context, false, true) },
  'an adopted Socket': { ...client, inherits: 'socket', warm, run: adopt },
  'close with a queue': { ...client, transports: BOTH, isSilent: true, run: closeWithQueue },
  'life of a Multiplexer': { level: 'model', role: 'none', transports: TCP, run: live },
}
