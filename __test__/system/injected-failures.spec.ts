import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'

/** Calls of a connection's handlers, and the events of the streams and reads of a program, in order. */
interface Case {
  readonly title: string
  readonly inject: readonly string[]
  /** Source text: it fills `log` until that has `until`, with `port()` for a peer of node:net as `peer`. */
  readonly act: string
  readonly until: string
  readonly log: readonly string[]
}

const PRELUDE = `
import net from 'node:net'
import { Listener, Multiplexer, Socket, connect, listen, toDuplex } from 'm-socket'
const log = []
const record = (entry, error) => void log.push(error ? entry + ' ' + error.code : entry)
const handlers = (others) => ({
  data: (_, chunk) => record('data ' + chunk), end: () => record('end'),
  error: (_, error) => record('error', error), close: (_, error) => record('close', error), ...others })
const serve = (others, options) => listen({ host: '127.0.0.1', port: 0, socket: handlers(others), ...options })
// node:net sends by write(2) and receives by read(2).
const dial = async (port) => {
  const peer = net.connect(port, '127.0.0.1').on('error', () => {})
  await new Promise((resolve) => peer.once('connect', resolve))
  return peer
}
/** A socket of ours, and its peer of node:net. */
const pair = async () => {
  const listener = Listener.bind({ host: '127.0.0.1', port: 0 })
  const peer = await dial(listener.address.port)
  return { socket: listener.accept(), peer }
}
const flags = (event) => ['readable', 'writable', 'error'].filter((name) => event[name]).join(' ')
`

const SEND = 'sendto:error=EHOSTUNREACH'
const RECEIVE = 'recvfrom:error=EIO'

const CASES: Case[] = [
  ...[1, 2].map((when) => ({
    title: `a_corked_write_that_fails_ends_its_connection_at_once: send ${when}`,
    inject: [`${SEND}:when=${when}`],
    act: `
      const server = serve({ data: (connection) => void connection.write('answer') })
      const peer = await dial(server.port)
      peer.on('data', () => peer.write('question')).write('question')`,
    until: 'close EHOSTUNREACH',
    log: ['error EHOSTUNREACH', 'close EHOSTUNREACH'],
  })),
  {
    title: 'a_write_outside_a_batch_that_fails_ends_its_connection_at_once',
    inject: [`${SEND}:when=1`],
    act: `
      const server = serve({ open: (connection) => setTimeout(() => record('write ' + connection.write('x')), 20) })
      await dial(server.port)`,
    until: 'close EHOSTUNREACH',
    log: ['write -1', 'error EHOSTUNREACH', 'close EHOSTUNREACH'],
  },
  {
    title: 'a_cork_that_fails_ends_its_paused_connection_at_once',
    inject: [`${SEND}:when=1`],
    act: `
      const server = serve({ open: (connection) => void setTimeout(() => connection.pause().cork(() => connection.write('x')), 20) })
      await dial(server.port)`,
    until: 'close EHOSTUNREACH',
    log: ['error EHOSTUNREACH', 'close EHOSTUNREACH'],
  },
  ...['', '.pause()'].map((paused) => ({
    title: `a_queue_that_fails_to_be_sent_ends_its_connection_at_once${paused && ': paused'}`,
    inject: [`${SEND}:when=2`, 'sendmsg:error=EHOSTUNREACH:when=1'],
    act: `
      const server = serve({ open: (connection) => void connection${paused}.write(Buffer.alloc(16 << 20)), drain: () => record('drain') })
      const peer = await dial(server.port)
      peer.resume()`,
    until: 'close EHOSTUNREACH',
    log: ['error EHOSTUNREACH', 'close EHOSTUNREACH'],
  })),
  {
    title: 'a_pending_read_is_rejected_when_a_write_fails',
    inject: [`${SEND}:when=1`],
    act: `
      const server = serve({ open: (connection) => {
        connection.read(Buffer.alloc(9)).catch((error) => record('read', error))
        setTimeout(() => connection.write('x'), 20)
      } })
      await dial(server.port)`,
    until: 'read EHOSTUNREACH',
    log: ['error EHOSTUNREACH', 'close EHOSTUNREACH', 'read EHOSTUNREACH'],
  },
  {
    title: 'a_write_that_fails_is_reported_behind_the_input_of_a_paused_connection',
    inject: [`${SEND}:when=1`],
    act: `
      const server = serve({ async open(connection) {
        connection.pause()
        while (connection.socket.peek(new Uint8Array(9)) !== 5) await new Promise((resolve) => setTimeout(resolve, 5))
        record('write ' + connection.write('x'))
        setTimeout(() => { record('resume'); connection.resume() }, 50)
      } })
      const peer = await dial(server.port)
      peer.write('first')`,
    until: 'close EHOSTUNREACH',
    log: ['write -1', 'resume', 'data first', 'error EHOSTUNREACH', 'close EHOSTUNREACH'],
  },
  ...[1, 2].map((when) => ({
    title: `a_receive_of_the_wait_that_fails_is_reported_behind_the_input: receive ${when}`,
    inject: [`${RECEIVE}:when=${when}`],
    act: `
      const server = serve()
      const peer = await dial(server.port)
      for (let turn = 0; turn < ${when}; turn++) {
        peer.write('word')
        while (log.length <= turn) await new Promise((resolve) => setTimeout(resolve, 5))
      }`,
    until: 'close EIO',
    log: [...Array.from({ length: when }, () => 'data word'), 'error EIO', 'close EIO'],
  })),
  {
    title: 'a_receive_that_fails_rejects_a_pending_read',
    inject: [`${RECEIVE}:when=2`],
    act: `
      const server = serve({ open: (connection) => void connection.read(Buffer.alloc(9)).catch((error) => record('read', error)) })
      const peer = await dial(server.port)
      setTimeout(() => peer.write('x'), 20)`,
    until: 'read EIO',
    log: ['error EIO', 'close EIO', 'read EIO'],
  },
  ...['ENOMEM', 'ENOBUFS'].map((code) => ({
    title: `a_receive_without_memory_is_tried_again: ${code}`,
    inject: [`recvfrom:error=${code}:when=1..3`],
    act: `
      const server = serve()
      const peer = await dial(server.port)
      peer.end('question')`,
    until: 'close',
    log: ['data question', 'end', 'close'],
  })),
  ...['edge', 'level'].map((mode) => ({
    title: `a_pending_wait_reports_a_send_that_failed: ${mode}`,
    inject: [`${SEND}:when=1`],
    act: `
      const { socket } = await pair()
      const multiplexer = new Multiplexer()
      multiplexer.add(socket, 'r', '${mode}')
      setTimeout(() => record(socket.send('x')), 20)
      const [event] = await multiplexer.wait()
      record(flags(event))
      try { socket.receive(Buffer.alloc(9)) } catch (error) { record('receive', error) }`,
    until: 'receive EHOSTUNREACH',
    log: ['closed', 'readable error', 'receive EHOSTUNREACH'],
  })),
  {
    title: 'a_pending_wait_reports_a_queue_that_failed',
    inject: [`${SEND}:when=2`, 'sendmsg:error=EHOSTUNREACH:when=1'],
    act: `
      const { socket, peer } = await pair()
      const multiplexer = new Multiplexer()
      multiplexer.add(socket, 'r')
      record(socket.send(Buffer.alloc(16 << 20)))
      peer.resume()
      const [event] = await multiplexer.wait()
      record(flags(event))
      try { socket.peek(Buffer.alloc(9)) } catch (error) { record('peek', error) }`,
    until: 'peek EHOSTUNREACH',
    log: ['partially-sent', 'readable error', 'peek EHOSTUNREACH'],
  },
  ...(['duplex.resume()', ''] as const).flatMap((reads) => [
    {
      title: `a_stream_whose_write_fails_is_destroyed: ${reads || 'not read'}`,
      inject: [`${SEND}:when=1`],
      act: `
        const { socket } = await pair()
        const duplex = toDuplex(socket).on('error', (error) => record('error', error)).on('close', () => record('close'))
        ${reads}
        setTimeout(() => duplex.write('x'), 20)`,
      until: 'close',
      log: ['error EHOSTUNREACH', 'close'],
    },
    {
      title: `a_stream_whose_queue_fails_is_destroyed: ${reads || 'not read'}`,
      inject: [`${SEND}:when=2`, 'sendmsg:error=EHOSTUNREACH:when=1'],
      act: `
        const { socket, peer } = await pair()
        const duplex = toDuplex(socket)
        duplex.on('error', (error) => record('error', error)).on('close', () => record('close'))
        ${reads}
        duplex.write(Buffer.alloc(16 << 20))
        peer.resume()`,
      until: 'close',
      log: ['error EHOSTUNREACH', 'close'],
    },
  ]),
  {
    title: 'a_stream_whose_receive_fails_is_destroyed',
    inject: [`${RECEIVE}:when=1`],
    act: `
      const { socket, peer } = await pair()
      toDuplex(socket).on('error', (error) => record('error', error)).on('close', () => record('close')).resume()
      peer.write('x')`,
    until: 'close',
    log: ['error EIO', 'close'],
  },
]

for (const { title, inject, act, until, log } of CASES) {
  testWith(['strace'], title, async (t) => {
    const source = `${PRELUDE}
      const timer = setInterval(() => {
        if (!log.includes(${JSON.stringify(until)}) && performance.now() < 20_000) return
        clearInterval(timer)
        setTimeout(() => { console.log(JSON.stringify(log)); process.exit() }, 20)
      }, 5)
      ${act}`
    const { code, stdout, stderr, calls } = await runUnderStrace(t, source, 'sendto,sendmsg,recvfrom', ...inject)
    t.is(code, 0, stderr)
    t.true(
      calls.some((call) => call.includes('INJECTED')),
      'nothing was injected',
    )
    t.deepEqual(JSON.parse(stdout), log)
  })
}
