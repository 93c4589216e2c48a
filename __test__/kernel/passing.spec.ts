import type { ExecutionContext } from 'ava'

import { testWith } from '../support/programs.js'
import { runPython } from '../support/python.js'

const BEGIN = `
import array, errno, json, os, resource, socket, struct
def pair(): return socket.socketpair()
def rights(*fds): return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
def outcome(call):
    try: return call()
    except OSError as error: return errno.errorcode[error.errno]
def tcp():
    listener = socket.create_server(('127.0.0.1', 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    return near, far
results = []
`

/** Runs a program, which puts what it has seen into `results`. */
function results(source: string): unknown {
  return JSON.parse(runPython(`${BEGIN}${source}\nprint(json.dumps(results))`))
}

function same(t: ExecutionContext, source: string, expected: unknown): void {
  t.deepEqual(results(source), expected)
}

testWith(['python3'], 'truth 64: tcp_ignores_descriptors_and_without_bytes_nothing_goes', (t) => {
  same(
    t,
    `
near, far = tcp()
results.append(near.sendmsg([b'abc'], rights(0)))
results.append([len(it) for it in socket.recv_fds(far, 10, 4)[:2]])
near, far = pair()
results.append(near.sendmsg([b''], rights(0)))
far.setblocking(False)
results.append(outcome(lambda: socket.recv_fds(far, 10, 4)))`,
    [3, [3, 0], 0, 'EAGAIN'],
  )
})

testWith(['python3'], 'truth 65: what_cannot_be_opened_ends_the_descriptors_of_a_message', (t) => {
  same(
    t,
    `
near, far = pair()
near.sendmsg([b'abc'], rights(0, 0, 0, 0, 0))
near.sendmsg([b'def'], rights(0))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
filler = []
while True:
    fd = outcome(lambda: os.dup(0))
    if fd == 'EMFILE': break
    filler.append(fd)
for fd in filler[:2]: os.close(fd)
data, fds, flags, _ = socket.recv_fds(far, 2, 10)
results.append([data.decode(), len(fds), bool(flags & socket.MSG_CTRUNC)])
for fd in fds: os.close(fd)
data, fds, flags, _ = socket.recv_fds(far, 10, 10)
results.append([data.decode(), len(fds), bool(flags & socket.MSG_CTRUNC)])`,
    [
      ['ab', 2, true],
      ['cdef', 1, false],
    ],
  )
})

testWith(['python3'], 'truth 66: only_recvmsg_with_room_takes_descriptors', (t) => {
  same(
    t,
    `
near, far = pair()
def left(receive):
    passed, other = pair()
    near.sendmsg([b'abc'], rights(passed.fileno()))
    passed.close()
    receive()
    other.setblocking(False)
    # The end has come where the last descriptor of the other one has been closed.
    return outcome(lambda: len(other.recv(1)))
def spliced():
    source, to = os.pipe()
    os.splice(far.fileno(), to, 10)
results.append(left(lambda: far.recv(10)))
results.append(left(lambda: os.read(far.fileno(), 10)))
results.append(left(lambda: far.recvmsg(10)))
if hasattr(os, 'splice'): results.append(left(spliced))
else: results.append(left(lambda: far.recv(10)))
results.append(left(lambda: far.recv(10, socket.MSG_PEEK)))
results.append(len(socket.recv_fds(far, 10, 4)[1]))`,
    [0, 0, 0, 0, 'EAGAIN', 1],
  )
})

testWith(['python3'], 'truth 67: too_many_closed_ones_and_too_many_under_way_are_refused_with_nothing_sent', (t) => {
  same(
    t,
    `
near, far = pair()
far.setblocking(False)
results.append(outcome(lambda: near.sendmsg([b'x'], rights(*[0] * 254))))
results.append(outcome(lambda: near.sendmsg([b'x'], rights(0, 999999))))
if os.geteuid() == 0: os.seteuid(65534)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
refused = 1
for sent in range(20):
    refused = outcome(lambda: near.sendmsg([b'x'], rights(*[0] * 50)))
    if refused != 1: break
results.append(refused)
results.append(near.send(b'y'))
results.append(len(far.recv(1)))`,
    ['EINVAL', 'EBADF', 'ETOOMANYREFS', 1, 1],
  )
})

testWith(['python3'], 'truth 68: what_is_under_way_stays_open_unless_nothing_else_has_it', (t) => {
  same(
    t,
    `
near, far = pair()
passed, other = tcp()
other.sendall(b'unread')
passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
near.sendmsg([b'x'], rights(passed.fileno()))
passed.close()
other.setblocking(False)
results.append(outcome(lambda: other.recv(1)))
fds = socket.recv_fds(far, 10, 4)[1]
kept = socket.socket(fileno=fds[0])
results.append(kept.recv(10).decode())
kept.sendall(b'answer')
results.append(other.recv(10).decode())
one, two = pair()
watched, end = pair()
one.sendmsg([b'x'], rights(two.fileno(), watched.fileno()))
for it in (one, two, watched): it.close()
# The collector runs with a close of a Unix socket, by a worker of the kernel.
end.settimeout(100)
results.append(len(end.recv(1)))`,
    ['EAGAIN', 'unread', 'answer', 0],
  )
})
