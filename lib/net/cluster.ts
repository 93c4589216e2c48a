import { closeSync } from 'node:fs'
import { constants } from 'node:os'

import { AsyncContext } from '../loop/async-context.js'
import { Socket as ModelSocket } from '../model/socket.js'
import * as native from '../native.js'
import { exceptionWithHostPort } from './errors.js'
import type { Extras } from './listen-options.js'
import type { ListenerOwner } from './listener-handle.js'
import { type NativeHandle, setOwner } from './native-handle.js'
import type { Where } from './open-listener.js'
import { HANDLE } from './fields.js'
import { type ServerState } from './server-state.js'

/** Of node:cluster what node:net uses too. */
interface Cluster {
  readonly isPrimary: boolean
  _getServer(server: object, query: object, callback: (errno: number, handle: NativeHandle | null) => void): void
}

let loaded: Cluster | undefined
const cluster = (): Cluster => (loaded ??= process.getBuiltinModule('node:cluster') as unknown as Cluster)

/** Listens: in a worker of node:cluster by the primary, unless `exclusive`. */
export function listenInCluster(
  server: ServerState,
  where: Where,
  backlog: unknown,
  exclusive: unknown,
  extras?: Extras,
  access: { readonly readableAll?: unknown; readonly writableAll?: unknown } = {},
): void {
  const { address, port, addressType, fd, flags } = where
  const listen = (): void => server._listen2(address, port, addressType, backlog, fd, flags, extras)
  if (cluster().isPrimary || exclusive) return listen()
  const listeningId = server._listeningId
  cluster()._getServer(server, { address, port, addressType, fd, flags, backlog, ...access }, (errno, handle) => {
    if (listeningId !== server._listeningId) return handle?.close()
    const failure = errno || bindErrno(port, handle!)
    if (failure) {
      server.emit('error', exceptionWithHostPort(failure, 'bind', address ?? undefined, port))
      return
    }
    server[HANDLE]?.close()
    server[HANDLE] = handle
    listen()
  })
}

/** libuv reports EADDRINUSE of bind(2) late: the handle of the primary is bound to another port then. */
function bindErrno(port: number | null, handle: NativeHandle): number {
  if (port === null || port <= 0 || !handle.getsockname) return 0
  const bound: { port?: number } = {}
  const errno = handle.getsockname(bound)
  return errno || (bound.port === port ? 0 : -constants.errno.EADDRINUSE)
}

/** Takes the connections that the primary accepts for this worker. */
export function acceptFromPrimary(handle: NativeHandle, server: ServerState, owner: ListenerOwner): void {
  setOwner(handle, server)
  const context = new AsyncContext()
  handle.onconnection = (_status, connection) => {
    const socket = takeFrom(connection)
    if (socket) context.run(owner.onAccepted, owner, socket, connection.getsockname === undefined)
  }
  // It never fails: the primary listens already.
  handle.listen?.(0)
}

/** Undefined where descriptors have run out, and where the peer has reset the connection meanwhile: it ends. */
function takeFrom(connection: NativeHandle): ModelSocket | undefined {
  const fd = native.duplicate(connection.fd!)
  connection.close()
  if (fd < 0) return undefined
  const handle = native.adoptSocket(fd)
  if (handle >= 0) return ModelSocket.of(handle)
  closeSync(fd)
  return undefined
}
