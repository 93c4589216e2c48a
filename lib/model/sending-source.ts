import { ClosableSource } from './closable-source.js'
import { type OpenFile, type SendFileOptions, sendFile } from './send-file.js'

/** What a socket sends besides bytes. */
export abstract class SendingSource extends ClosableSource {
  /**
   * Sends a regular file, or a part of it, behind what is queued: sendfile(2), so that its bytes are not copied through
   * JavaScript. What is sent later comes behind it, within the limit of the queue.
   *
   * `start` and `end` are offsets in bytes, both inclusive, as in `fs.createReadStream`; by default all is sent that the
   * file has when this is called. The file's own position is neither used nor moved. The descriptor is duplicated: the
   * program may close its own at once. What is not in memory is read by libuv's thread pool, a MiB at a time, so that
   * Node's loop does not wait for a disk.
   *
   * What the file gains meanwhile is not sent. Where it has shrunk, its end is the end, and fewer bytes are sent. The
   * kernel sends from the file's own memory: what is written to the file until the peer has received it may be sent in
   * place of what was there.
   *
   * @returns how many bytes of the file the kernel has taken, once it has taken all. `close()` and a shutdown come behind
   * the file, too.
   * @throws (rejects) TypeError ERR_INVALID_ARG_VALUE for anything but a regular file, ERR_INVALID_ARG_TYPE; RangeError for
   * a range that is none; SocketClosedError, also when the socket is reset meanwhile; SocketError why the connection
   * broke; EBADF for a closed descriptor; EMFILE; with the system call `sendfile` why the file could not be read, such as
   * EIO; AbortError when `signal` is aborted. The last ones have `bytesSent`. What was sent stays sent, the rest is not,
   * the connection goes on, and what is queued behind the file comes next: `reset()` it where the peer expects a certain
   * length.
   */
  sendFile(file: OpenFile | number, options?: SendFileOptions): Promise<number> {
    return sendFile(this, file, options)
  }
}
