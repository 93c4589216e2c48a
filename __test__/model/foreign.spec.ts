// Descriptors of the program that are closed before they are removed. The kernel gives their numbers to others:
// epoll(7), "closed descriptors".

import { closeSync, openSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { type Descriptor, Listener, Multiplexer, Socket, SocketError } from 'm-socket'
import * as native from 'm-socket/native'

import { assertReused, openWithDescriptor, retryUntilReused } from '../support/descriptor-reuse.js'
import { addressOf, closeAtEnd, resetAtEnd, testListener } from '../support/pair.js'
import { acceptNext } from '../support/waiting.js'

/** The master of a new pseudoterminal, which epoll can watch: always writable. */
function openTerminal(): number {
  return openSync('/dev/ptmx', 'r+')
}

interface Reused {
  readonly multiplexer: Multiplexer
  /** Closed, and not removed. */
  readonly stale: Descriptor
  /** Has the number of `stale`, and is in the same multiplexer. */
  readonly socket: Socket
  readonly peer: Socket
}

/** Runs a test in which a socket has the number of a descriptor that was closed before it was removed. */
async function withReusedNumber(
  t: ExecutionContext,
  mode: 'edge' | 'level',
  run: (reused: Reused) => Promise<void>,
): Promise<void> {
  const listener = testListener(t)
  await retryUntilReused(async () => {
    const multiplexer = closeAtEnd(t, new Multiplexer())
    const stale = { fd: openTerminal() }
    multiplexer.add(stale, 'rw', mode)
    t.is((await multiplexer.wait())[0]?.target, stale)
    closeSync(stale.fd)
    const socket = resetAtEnd(
      t,
      openWithDescriptor(stale.fd, () => Socket.connect(addressOf(listener))),
    )
    const peer = resetAtEnd(t, await acceptOf(listener, socket))
    multiplexer.add(socket, 'r')
    await run({ multiplexer, stale, socket, peer })
  })
}

/** Accepts until the peer of `socket` comes: other sockets may have been opened for their numbers. */
async function acceptOf(listener: Listener, socket: Socket): Promise<Socket> {
  for (;;) {
    const peer = await acceptNext(listener)
    const { remoteAddress } = peer
    if (JSON.stringify(remoteAddress) === JSON.stringify(socket.localAddress)) return peer
    peer.reset()
  }
}

/** Asserts that the socket, and nothing else, is reported when its peer sends. */
async function assertWatched(t: ExecutionContext, { multiplexer, socket, peer }: Reused): Promise<void> {
  peer.send('x')
  const events = await multiplexer.wait()
  t.deepEqual(
    events.map(({ target }) => target),
    [socket],
  )
  t.is(socket.receive(new Uint8Array(8)), 1)
  t.deepEqual(multiplexer.poll(), [])
}

for (const mode of ['edge', 'level'] as const) {
  test.serial(`removing_a_closed_descriptor_leaves_the_socket_with_its_number (${mode})`, async (t) => {
    await withReusedNumber(t, mode, async (reused) => {
      const { multiplexer, stale, socket } = reused
      await assertWatched(t, reused)
      multiplexer.remove(stale)
      await assertWatched(t, reused)
      t.throws(() => multiplexer.remove(stale), { instanceOf: SocketError, code: 'ENOENT' })
      multiplexer.remove(socket)
      multiplexer.add(socket, 'r')
      await assertWatched(t, reused)
    })
  })
}

test.serial('modifying_a_closed_descriptor_fails_and_leaves_the_socket_with_its_number', async (t) => {
  await withReusedNumber(t, 'edge', async (reused) => {
    const { multiplexer, stale, socket } = reused
    for (const interest of ['r', 'w', 'rw'] as const) {
      t.throws(() => multiplexer.modify(stale, interest, 'level'), { instanceOf: SocketError, code: 'EBADF' })
      await assertWatched(t, reused)
    }
    multiplexer.modify(socket, 'rw')
    t.is((await multiplexer.wait())[0]?.target, socket)
    multiplexer.remove(stale)
    await assertWatched(t, reused)
  })
})

test.serial('closing_a_multiplexer_with_a_closed_descriptor_leaves_the_socket_with_its_number', async (t) => {
  await withReusedNumber(t, 'edge', async (reused) => {
    reused.multiplexer.close()
    const multiplexer = closeAtEnd(t, new Multiplexer())
    multiplexer.add(reused.socket, 'r')
    await assertWatched(t, { ...reused, multiplexer })
  })
})

test.serial('closing_the_socket_with_the_number_of_a_closed_descriptor_leaves_the_next_one', async (t) => {
  const listener = testListener(t)
  await withReusedNumber(t, 'edge', async ({ multiplexer, stale, socket }) => {
    socket.close()
    const next = resetAtEnd(
      t,
      openWithDescriptor(stale.fd, () => Socket.connect(addressOf(listener))),
    )
    multiplexer.add(next, 'r')
    const peer = resetAtEnd(t, await acceptOf(listener, next))
    multiplexer.remove(stale)
    await assertWatched(t, { multiplexer, stale, socket: next, peer })
  })
})

test.serial('two_descriptors_with_one_number_are_removed_one_by_one', async (t) => {
  await retryUntilReused(async () => {
    const multiplexer = closeAtEnd(t, new Multiplexer())
    const first = { fd: openTerminal() }
    multiplexer.add(first, 'w', 'level')
    closeSync(first.fd)
    const second = { fd: openTerminal() }
    t.teardown(() => closeSync(second.fd))
    assertReused(second.fd, first.fd)
    multiplexer.add(second, 'w', 'level')
    const reported = (): unknown[] => multiplexer.poll().map(({ target }) => target)
    t.deepEqual(reported(), [second])
    t.throws(() => multiplexer.modify(first, 'rw'), { code: 'EBADF' })
    multiplexer.remove(first)
    t.deepEqual(reported(), [second])
    multiplexer.modify(second, 'w', 'level')
    t.deepEqual(reported(), [second])
    multiplexer.remove(second)
    t.deepEqual(reported(), [])
    // Nothing of it is left in the kernel.
    multiplexer.add(second, 'w', 'level')
    t.deepEqual(reported(), [second])
  })
})

test.serial('the_number_of_a_closed_descriptor_can_be_adopted', async (t) => {
  await retryUntilReused(async () => {
    const multiplexer = closeAtEnd(t, new Multiplexer())
    const stale = { fd: openTerminal() }
    multiplexer.add(stale)
    closeSync(stale.fd)
    // A listening socket that no object owns.
    const handle = native.open(4)
    native.bind(handle, '127.0.0.1', 0)
    native.listen(handle, 1)
    const fd = native.descriptor(handle)
    native.disown(handle)
    assertReused(fd, stale.fd)
    const listener = closeAtEnd(t, Listener.bind({ fd: stale.fd }))
    multiplexer.add(listener, 'r')
    multiplexer.remove(stale)
    resetAtEnd(t, Socket.connect(addressOf(listener)))
    t.deepEqual(
      (await multiplexer.wait()).map(({ target }) => target),
      [listener],
    )
  })
})
