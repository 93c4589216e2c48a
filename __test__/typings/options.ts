// Which combinations of options compile.

import { type Connection, type Data, type Event, Listener, type ReadyEvent, Socket, connect, listen } from 'm-socket'

import { same } from './equal.js'

interface Session {
  name: string
}

declare const listener: Listener
declare const port: number | undefined

// Where to listen
listen({})
listen({ port: 0 })
listen({ host: '::', port: '8080' })
listen({ hostname: '::', port: 0 })
listen({ path: '/tmp/x' })
listen({ unix: '/tmp/x', backlog: 5 })
listen({ path: '/tmp/x', mode: 0o660, unlink: 'stale' })
listen({ unix: '/tmp/x', unlink: true })
listen({ fd: 3, maxConnections: 5 })
listen({ listener, noDelay: false })
listen({ port: 0, mptcp: true })
listen({ path: '/tmp/x', mptcp: false })
// @ts-expect-error a path has no Multipath TCP
listen({ path: '/tmp/x', mptcp: true })
// @ts-expect-error nor has what is open already
listen({ listener, mptcp: true })
// @ts-expect-error a path has no port
listen({ path: '/tmp/x', port: 1 })
// @ts-expect-error nor its alias
listen({ unix: '/tmp/x', port: 1 })
// @ts-expect-error a path has no host
listen({ path: '/tmp/x', host: '::' })
// @ts-expect-error a descriptor is bound already
listen({ fd: 3, port: 1 })
// @ts-expect-error a listener listens already
listen({ listener, host: '::' })
// @ts-expect-error with a backlog of its own
listen({ listener, backlog: 5 })
// @ts-expect-error two at once
listen({ listener, fd: 3 })
// @ts-expect-error a port has no file
listen({ port: 0, mode: 0o660 })
// @ts-expect-error nor has a descriptor
listen({ fd: 3, unlink: 'stale' })
// @ts-expect-error a listener has been bound already
listen({ listener, unlink: true })
// @ts-expect-error there is no such word
listen({ path: '/tmp/x', unlink: 'always' })
// @ts-expect-error a server does not connect
listen({ port: 0, connectTimeout: 5 })
// @ts-expect-error the name is idleTimeout
listen({ port: 0, timeout: 5 })

// Where to connect to
void connect({ host: 'localhost', port })
void connect({ hostname: 'localhost', port: '80', localAddress: '127.0.0.1', localPort: '0' })
void connect({ path: '/tmp/x', connectTimeout: 5 })
void connect({ unix: '/tmp/x' })
// @ts-expect-error a host needs a port
void connect({ host: 'localhost' })
// @ts-expect-error a port needs a host
void connect({ port: 80 })
// @ts-expect-error nothing to connect to
void connect({})
// @ts-expect-error a path has no port
void connect({ path: '/tmp/x', port: 80 })
// @ts-expect-error nor a local address
void connect({ unix: '/tmp/x', localAddress: '127.0.0.1' })
// @ts-expect-error a client does not listen
void connect({ host: 'x', port: 80, backlog: 5 })

// The model
Listener.bind({ host: '::', port: '0' })
Listener.bind({ path: '/tmp/x' })
Listener.bind({ path: '/tmp/x', mode: 0o600, unlink: false })
Listener.bind({ fd: 3 })
// @ts-expect-error a port has no file
Listener.bind({ port: 0, unlink: 'stale' })
// @ts-expect-error nor has a descriptor
Listener.bind({ fd: 3, mode: 0o600 })
// @ts-expect-error a name is for an Internet address
void Listener.bindHost({ host: 'x', unlink: true })
// @ts-expect-error a path has no port
Listener.bind({ path: '/tmp/x', port: 1 })
// @ts-expect-error a descriptor is bound already
Listener.bind({ fd: 3, host: '::' })
// @ts-expect-error the model has the main names alone
Listener.bind({ hostname: '::' })
// @ts-expect-error a name needs bindHost, which needs a host
void Listener.bindHost({ port: 0 })
Socket.connect({ port: '80' })
Socket.connect({ path: '/tmp/x', noDelay: true })
// @ts-expect-error a path has no port
Socket.connect({ path: '/tmp/x', port: 80 })
// @ts-expect-error nothing to connect to
Socket.connect({})

// Data of connections: required unless it may be undefined
listen<Session>({ port: 0, data: { name: '' } })
listen<Session | undefined>({ port: 0 })
listen<undefined>({ port: 0 })
void connect<Session>({ host: 'x', port: 1, data: { name: '' } })
// @ts-expect-error a Session has to be given
listen<Session>({ port: 0 })
// @ts-expect-error a Session has to be given
void connect<Session>({ host: 'x', port: 1 })
// @ts-expect-error of the right type
listen<Session>({ port: 0, data: { name: 5 } })
const inferred = listen({ port: 0, data: { name: '' }, socket: { open: (it) => it.data.name.toUpperCase() } })
same<typeof inferred.data, { name: string }>()
const none = listen({ port: 0, socket: { data: (connection, chunk) => connection.write(chunk) } })
same<typeof none.data, undefined>()

// Handlers may return anything
listen({ port: 0, socket: { data: () => 5, open: async () => 'text', end: () => null, close: (_, error) => error } })

export async function lives(connection: Connection): Promise<void> {
  same<typeof connection.state, 'connecting' | 'open' | 'closing' | 'closed'>()
  same<typeof connection.server, typeof none | undefined>()
  same<Parameters<typeof connection.write>[0], Data | readonly Data[]>()
  for (const client of none.clients) same<typeof client, Connection<undefined>>()
  await none.close({ timeout: 100, end: true })
  // @ts-expect-error there is no such option
  await none.close({ force: true })
}

same<Event, ReadyEvent>()
