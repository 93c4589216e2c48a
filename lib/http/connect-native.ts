import type { NetConnectOpts, Socket } from 'node:net'

import { net } from '../net/linux.js'
import { toNetSocket } from '../streams/to-net-socket.js'

/**
 * Connects with a socket of ours, and calls back with one of Node over its descriptor, for TLS.
 *
 * @param onEnd gets the error, or the connected socket. It is called once.
 * @returns what connects: destroying it ends the attempt, with the error of a connection that was cut.
 */
export function connectNative(options: NetConnectOpts, onEnd: (error: Error | null, socket?: Socket) => void): Socket {
  const attempt = net.createConnection(options)
  let failure: Error | undefined
  // What has been received cannot be given up.
  attempt.pause()

  function onError(error: Error): void {
    failure = error
  }
  function onClose(): void {
    onEnd(failure ?? hangUp())
  }

  attempt.on('error', onError).once('close', onClose)
  attempt.once('connect', () => {
    attempt.off('error', onError).off('close', onClose)
    let socket
    try {
      socket = toNetSocket(attempt)
    } catch (error) {
      attempt.destroy()
      return onEnd(error as Error)
    }
    onEnd(null, socket)
  })
  return attempt
}

/** As node:http words it. */
function hangUp(): Error & { code: string } {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
}
