import { bytesOfFirst } from '../proxy-protocol/first-header.js'
import type { ProxyHeader } from '../proxy-protocol/types.js'
import type { BufferedWrite } from './buffered-writes.js'
import { HANDLE } from './fields.js'
import type { Done } from './handle.js'
import type { SocketMethods } from './socket-methods.js'

/**
 * Has the first write of a stream that has connected send `header` before it, and the end of our half, too. Returns what
 * sends it without either.
 */
export function holdHeader(stream: SocketMethods, header: ProxyHeader): () => void {
  const handle = stream[HANDLE]!
  const bytes = bytesOfFirst(header, handle.socket!)
  let isHeld = true
  const release = (): void => {
    isHeld = false
    // They are those of the prototype again.
    delete (stream as Partial<SocketMethods>)._writeGeneric
    delete (stream as Partial<SocketMethods>)._final
  }
  const send = (): void => {
    if (!isHeld) return
    release()
    // Once it is closed, or another connection is there, nothing is to be sent.
    if (stream[HANDLE] === handle) handle.socket!.write(bytes, false)
  }
  stream._writeGeneric = (isMany, data, encoding, done: Done) => {
    release()
    const writes = (isMany ? data : [{ chunk: data, encoding }]) as BufferedWrite[]
    stream._writeGeneric(true, [{ chunk: bytes, encoding: 'buffer' }, ...writes], '', done)
    // It is none of what was written to the stream.
    handle.bytesWritten -= bytes.length
  }
  stream._final = (done) => {
    send()
    stream._final(done)
  }
  return send
}
