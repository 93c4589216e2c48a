// The system calls of the library, and the errnos that each of them is made to fail with: those of its manual page, and
// a few absurd ones.

/** Limits of the process or the system. They last until something is closed. */
const EXHAUSTED = ['ENOBUFS', 'ENOMEM']
const DESCRIPTORS = ['EMFILE', 'ENFILE']
/** No manual page has them for most calls. A filter of seccomp(2) may return any. */
const ABSURD = ['EIO', 'EINVAL', 'EPERM']

/**
 * `once`: a single call fails. `lasting`: all calls fail from one on, until the fault is lifted. Not here, because the
 * kernel never does it: EAGAIN while the socket is ready, after which no edge would come, and ENOTCONN of getpeername(2)
 * and shutdown(2) while it is connected likewise; EINTR for ever; EINPROGRESS and EINTR of a connect(2) that has not
 * begun; an epoll_wait(2) that always fails, without which there is no multiplexer.
 */
export const CALLS = {
  socket: faults(['EAFNOSUPPORT', 'EACCES', ...DESCRIPTORS, ...EXHAUSTED, ...ABSURD], ['EMFILE', 'EPERM']),
  bind: faults(['EACCES', 'EADDRINUSE', 'EADDRNOTAVAIL', 'ENOMEM', ...ABSURD], ['EADDRINUSE', 'EPERM']),
  listen: faults(['EADDRINUSE', 'EOPNOTSUPP', ...ABSURD], ['EPERM']),
  accept4: faults(
    ['EINTR', 'ECONNABORTED', 'EPROTO', 'ENETDOWN', 'EOPNOTSUPP', ...DESCRIPTORS, ...EXHAUSTED, ...ABSURD],
    ['ECONNABORTED', 'EMFILE', 'ENOMEM', 'EPERM', 'EIO'],
  ),
  connect: faults(
    ['ECONNREFUSED', 'ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EACCES', 'EAGAIN', ...ABSURD],
    ['ECONNREFUSED', 'EPERM'],
  ),
  getsockopt: faults(['ENOPROTOOPT', 'ENOMEM', ...ABSURD], ['EPERM']),
  setsockopt: faults(['ENOPROTOOPT', 'EDOM', 'ENOMEM', ...ABSURD], ['EPERM']),
  getsockname: faults(['ENOBUFS', ...ABSURD], ['ENOBUFS']),
  getpeername: faults(['ENOBUFS', ...ABSURD], ['ENOBUFS']),
  recvfrom: faults(
    ['EINTR', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOMEM', ...ABSURD],
    ['ECONNRESET', 'ENOMEM', 'EIO'],
  ),
  recvmsg: faults(
    ['EINTR', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOMEM', ...ABSURD],
    ['ECONNRESET', 'ENOMEM', 'EIO'],
  ),
  sendto: faults(sends(), ['EPIPE', ...EXHAUSTED, 'EPERM']),
  sendmsg: faults([...sends(), 'EBADF', 'ETOOMANYREFS'], ['ENOBUFS', 'EPERM']),
  sendfile: faults(
    ['EINTR', 'EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'EOVERFLOW', ...EXHAUSTED, ...ABSURD],
    ['ENOMEM', 'EIO', 'EPERM'],
  ),
  splice: faults(
    ['EINTR', 'EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOSYS', ...EXHAUSTED, ...ABSURD],
    ['ENOSYS', 'ENOMEM', 'EPERM'],
  ),
  pipe2: faults([...DESCRIPTORS, 'ENOMEM', ...ABSURD], ['EMFILE', 'EPERM']),
  shutdown: faults(['ENOBUFS', ...ABSURD], ['EPERM']),
  close: faults(['EINTR', 'EIO', 'ENOSPC'], ['EIO']),
  epoll_create1: faults([...DESCRIPTORS, 'ENOMEM', ...ABSURD], ['EMFILE']),
  'epoll_ctl ADD': faults(['ENOSPC', 'ENOMEM', ...ABSURD]),
  'epoll_ctl MOD': faults(['ENOENT', 'ENOMEM', ...ABSURD], ['ENOMEM', 'EPERM']),
  'epoll_ctl DEL': faults(['ENOENT', 'EBADF', ...ABSURD]),
  // The watch of Node's loop on an epoll descriptor of ours. libuv aborts when it cannot change one that it has.
  'epoll_ctl ADD (Node)': faults(['ENOSPC', 'ENOMEM', 'EPERM']),
  epoll_ctl: faults([], ['ENOSPC', 'ENOMEM', 'EPERM']),
  epoll_wait: faults(['EINTR', 'ENOMEM', ...ABSURD]),
  poll: faults(['EINTR', 'ENOMEM', ...ABSURD], ['ENOMEM', 'EPERM']),
  eventfd2: faults([...DESCRIPTORS, 'ENODEV', 'ENOMEM', ...ABSURD], ['EMFILE']),
  timerfd_create: faults([...DESCRIPTORS, 'ENODEV', 'ENOMEM', ...ABSURD], ['EMFILE']),
  timerfd_settime: faults(['ECANCELED', ...ABSURD], ['EPERM']),
  fcntl: faults(['EBADF', 'EACCES', 'EBUSY', ...ABSURD], ['EPERM']),
}

/** The names of the calls, for strace(1). */
export const NAMES = [...new Set(Object.keys(CALLS).map(nameOf))]

/** Calls whose failure, when it lasts, has no owner but the process: there may be an uncaughtException. */
export const OF_THE_LOOP = new Set(['accept4', 'epoll_wait', 'poll', 'timerfd_create', 'timerfd_settime', 'epoll_ctl'])

/** Calls for several connections at once. */
export const SHARED = new Set(['epoll_wait', 'poll', 'epoll_create1', 'timerfd_create', 'timerfd_settime', 'eventfd2'])

/** `epoll_ctl` of `epoll_ctl ADD (Node)`. */
export function nameOf(call) {
  return call.split(' ')[0]
}

/**
 * Which of {@link CALLS} a line of strace(1) is; undefined for a call that Node makes for itself.
 *
 * @param {string} line
 * @param {ReadonlySet<number>} nodes the epoll descriptors that are Node's
 */
export function callOf(line, nodes) {
  const [, name, first] = /^(\w+)\((\d*)/.exec(line) ?? []
  if (name === 'epoll_wait' || name === 'epoll_pwait') return nodes.has(Number(first)) ? undefined : 'epoll_wait'
  if (name !== 'epoll_ctl') return name
  const operation = /EPOLL_CTL_(\w+)/.exec(line)?.[1]
  if (!nodes.has(Number(first))) return `epoll_ctl ${operation}`
  // EEXIST is what the kernel finds first: no other error is possible there.
  return operation === 'ADD' && !line.includes('EEXIST') ? 'epoll_ctl ADD (Node)' : undefined
}

function sends() {
  return ['EINTR', 'EPIPE', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'EMSGSIZE', ...EXHAUSTED, ...ABSURD]
}

function faults(once, lasting = []) {
  return { once, lasting }
}
