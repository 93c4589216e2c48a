// How the host's loop is made to watch a multiplexer's epoll descriptor, and what happens where the kernel refuses it.

import { readlinkSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { Multiplexer, SocketError } from 'm-socket'

import * as native from '../../lib/native.js'
import { runWithDescriptors } from '../support/child.js'
import { openDescriptors } from '../support/descriptors.js'
import { multiplexerAndDescriptor, registeredIn } from '../support/epoll.js'
import { connectedPair } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'
import { nextTurn } from '../support/timing.js'

/** Opens a multiplexer, waits with it, and with another one if it is refused. */
const WAIT = `
  import { Multiplexer, SocketError } from 'm-socket'
  try {
    await new Multiplexer().wait(20)
    console.log('waited')
  } catch (error) {
    console.log(error instanceof SocketError, error.code, error.syscall)
    await new Multiplexer().wait(20)
  }`

/** Which calls of epoll_ctl(2), counted from 1, added the epoll descriptor that was created last. */
function additions(calls: readonly string[]): number[] {
  const created = calls.findLastIndex((call) => call.startsWith('epoll_create1'))
  const fd = / = (\d+)$/.exec(calls[created]!)![1]
  const controls = calls.flatMap((call, index) => (call.startsWith('epoll_ctl') ? [{ call, index }] : []))
  const adds = new RegExp(`^epoll_ctl\\(\\d+, EPOLL_CTL_ADD, ${fd}, .* = 0$`)
  return controls.flatMap(({ call, index }, nth) => (index > created && adds.test(call) ? [nth + 1] : []))
}

for (const error of ['ENOSPC', 'ENOMEM']) {
  testWith(['strace'], `a_multiplexer_that_the_loop_cannot_watch_is_an_error_and_not_an_abort: ${error}`, async (t) => {
    const calm = await runUnderStrace(t, WAIT, 'epoll_create1,epoll_ctl')
    t.is(calm.stdout, 'waited\n', calm.stderr)
    const adds = additions(calm.calls)
    t.is(adds.length, 2, 'uv_poll_init tries it, and then it is registered')
    for (const nth of adds) {
      const { code, signal, stdout, stderr } = await runUnderStrace(
        t,
        WAIT,
        'epoll_ctl',
        `epoll_ctl:error=${error}:when=${nth}`,
      )
      t.deepEqual([code, signal, stdout], [0, null, `true ${error} epoll_ctl\n`], stderr)
    }
  })
}

/** The epoll descriptors that this process has open. */
function epollDescriptors(): number[] {
  return [...openDescriptors()].flatMap(([fd, link]) => (link === 'anon_inode:[eventpoll]' ? [fd] : []))
}

function codeOf(act: () => void): string {
  try {
    act()
    return 'none'
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
    return error.code
  }
}

test('the_epoll_descriptor_of_the_loop_itself_is_refused', async (t) => {
  const { multiplexer, epoll } = multiplexerAndDescriptor()
  t.teardown(() => multiplexer.close())
  const loop = epollDescriptors().find((fd) => fd !== epoll && registeredIn(fd).includes(epoll))!
  t.is(readlinkSync(`/proc/self/fd/${loop}`), 'anon_inode:[eventpoll]')
  for (let turn = 0; turn < 2; turn++) {
    t.is(
      codeOf(() => multiplexer.add({ fd: loop })),
      'ELOOP',
    )
    await nextTurn()
  }
})

test('circles_and_deep_nesting_of_multiplexers_are_refused_by_add', async (t) => {
  const nested = Array.from({ length: 8 }, () => multiplexerAndDescriptor())
  t.teardown(() => {
    for (const { multiplexer } of nested) multiplexer.close()
  })
  const added = (outer: number, inner: number): string =>
    codeOf(() => nested[outer]!.multiplexer.add({ fd: nested[inner]!.epoll }))
  const inner = [7, 6, 5, 4, 3, 2, 1].map((index) => added(index - 1, index))
  t.true(inner.includes('ELOOP'))
  t.true(inner.includes('none'))
  t.is(added(3, 3), 'EINVAL')
  const joined = inner.lastIndexOf('none')
  t.is(added(7 - joined, 6 - joined), 'ELOOP', 'a circle of two')
  await nextTurn()
  t.deepEqual(await nested[0]!.multiplexer.wait(10), [])
})

async function openAtTheLimit(t: ExecutionContext, spare: number): Promise<number> {
  const source = `
    import { closeSync, openSync } from 'node:fs'
    import { openMultiplexer } from 'm-socket/native'
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    for (let count = 0; count < ${spare}; count++) closeSync(taken.pop())
    const result = openMultiplexer(() => {}, true)
    for (const fd of taken) closeSync(fd)
    console.log(result)
    process.exit()`
  const { code, stdout, stderr } = await runWithDescriptors(t, 80, source)
  t.is(code, 0, stderr)
  return Number(stdout)
}

test('the_error_of_a_multiplexer_that_cannot_be_opened_names_the_call', async (t) => {
  const [none, one, two] = [await openAtTheLimit(t, 0), await openAtTheLimit(t, 1), await openAtTheLimit(t, 2)]
  t.throws(() => native.openedMultiplexer(none), { code: 'EMFILE', message: 'epoll_create1 EMFILE' })
  t.throws(() => native.openedMultiplexer(one), { code: 'EMFILE', message: 'timerfd_create EMFILE' })
  // A thread has an eventfd besides.
  t.throws(() => native.openedMultiplexer(two), { code: 'EMFILE', message: 'eventfd EMFILE' })
  const missing = -((native.OPEN_CALLS.indexOf('uv_poll_init') << native.FAILURE_CALL_SHIFT) + 38)
  t.throws(() => native.openedMultiplexer(missing), {
    code: 'ENOSYS',
    message: 'uv_poll_init ENOSYS: this runtime does not export the functions of libuv',
  })
})

test.serial('a_refused_multiplexer_leaves_nothing_open', async (t) => {
  const { client } = await connectedPair(t)
  const before = epollDescriptors().length
  for (let count = 0; count < 20; count++) t.throws(() => new Multiplexer(client, client), { code: 'EEXIST' })
  await nextTurn()
  t.is(epollDescriptors().length, before)
  t.notThrows(() => new Multiplexer(client).close())
})
