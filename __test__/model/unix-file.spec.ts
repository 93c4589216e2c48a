import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

import test, { type ExecutionContext } from 'ava'
import { Listener, Socket, SocketError, type UnixFileOptions, listen } from 'm-socket'

import * as native from '../../lib/native.js'
import { openSockets } from '../support/descriptors.js'
import { closeAtEnd, resetAtEnd, testListener } from '../support/pair.js'
import { testWith } from '../support/programs.js'
import { runUnderStrace } from '../support/strace.js'
import { abstractName, freePath, temporaryDirectory } from '../support/unix.js'

const STALE = /^bind EADDRINUSE \S+: nobody listens on it: stale file\? .*unlink: 'stale'$/

function bind(t: ExecutionContext, path: string, options: UnixFileOptions = {}): Listener {
  return closeAtEnd(t, Listener.bind({ path, ...options }))
}

/** A path whose socket has been closed. */
function stalePath(t: ExecutionContext): string {
  const path = freePath(t)
  Listener.bind({ path }).close()
  return path
}

/** Asserts that a connection waits, and accepts it. */
function accepts(t: ExecutionContext, listener: Listener): void {
  const socket = listener.accept()
  t.true(socket instanceof Socket)
  resetAtEnd(t, socket!)
}

const modeOf = (path: string): number => statSync(path).mode & 0o777

test('mode_is_that_of_the_path_whatever_the_umask_is', (t) => {
  for (const mode of [0o660, 0o600, 0o777, 0o666, 0]) {
    const path = freePath(t)
    bind(t, path, { mode })
    t.is(modeOf(path), mode)
    const served = freePath(t)
    const server = listen({ unix: served, mode })
    t.is(modeOf(served), mode)
    server.stop()
  }
})

testWith(['strace'], 'mode_is_in_force_before_a_peer_can_connect', async (t) => {
  const path = freePath(t)
  const source = `
    import { Listener } from 'm-socket'
    Listener.bind({ path: ${JSON.stringify(path)}, mode: 0o660 }).close()`
  const { calls, stderr } = await runUnderStrace(t, source, 'bind,chmod,fchmodat,listen')
  t.deepEqual(
    calls.map((call) => /^(f?)(chmod|bind|listen)/.exec(call)?.[2]),
    ['bind', 'chmod', 'listen'],
    stderr,
  )
})

for (const [call, injection] of [
  ['chmod', 'chmod,fchmodat:error=EPERM'],
  ['listen', 'listen:error=EOPNOTSUPP'],
] as const) {
  testWith(['strace'], `a_failed_${call}_leaves_neither_a_file_nor_a_socket`, async (t) => {
    const path = freePath(t)
    const source = `
      import { existsSync } from 'node:fs'
      import { Listener } from 'm-socket'
      const path = ${JSON.stringify(path)}
      try {
        Listener.bind({ path, mode: 0o660 })
      } catch ({ name, syscall, address }) {
        console.log(name, syscall, address === path, existsSync(path))
      }`
    const { stdout, stderr } = await runUnderStrace(
      t,
      source,
      'chmod,fchmodat,listen,bind',
      injection.replace(/\w+/, '?$&').replace(',', ',?'),
    )
    t.is(stdout, `SocketError ${call} true false\n`, stderr)
  })
}

test('a_stale_file_is_removed_if_it_is_asked_for', async (t) => {
  for (const unlink of ['stale', true] as const) {
    const path = stalePath(t)
    const refused = { code: 'EADDRINUSE', instanceOf: SocketError, message: STALE }
    t.throws(() => bind(t, path), refused)
    t.throws(() => bind(t, path, { unlink: false }), refused)
    t.throws(() => listen({ path }), refused)
    const listener = bind(t, path, { unlink })
    resetAtEnd(t, Socket.connect({ path }))
    accepts(t, listener)
    const served = stalePath(t)
    const server = listen({ path: served, unlink })
    t.is(server.path, served)
    server.stop()
  }
})

test('a_path_that_is_free_is_bound_whatever_unlink_is', (t) => {
  for (const unlink of ['stale', true, false] as const) t.truthy(bind(t, freePath(t), { unlink }).address)
})

test('a_path_that_is_listened_on_is_in_use_and_its_listener_is_not_disturbed', (t) => {
  const path = freePath(t)
  const first = bind(t, path)
  const before = openSockets().length
  for (const options of [{}, { unlink: 'stale' }, { unlink: true }] as const) {
    t.throws(() => Listener.bind({ path, ...options }), { code: 'EADDRINUSE', message: `bind EADDRINUSE ${path}` })
    t.throws(() => listen({ path, ...options }), { code: 'EADDRINUSE', message: `bind EADDRINUSE ${path}` })
  }
  t.is(first.accept(), null)
  t.is(openSockets().length, before)
  resetAtEnd(t, Socket.connect({ path }))
  accepts(t, first)
})

test('truth 46: a_path_that_is_bound_but_not_listened_on_yet_is_in_use', (t) => {
  const path = freePath(t)
  const handle = native.check(native.open(native.UNIX), 'socket')
  t.teardown(() => native.close(handle))
  native.check(native.bindPath(handle, path), 'bind')
  const { ino } = lstatSync(path)
  for (const unlink of ['stale', true, false] as const) {
    t.throws(() => Listener.bind({ path, unlink }), { code: 'EADDRINUSE', message: `bind EADDRINUSE ${path}` })
  }
  t.is(lstatSync(path).ino, ino)
})

test('what_is_no_socket_is_never_removed', (t) => {
  const folder = temporaryDirectory(t)
  const [file, directory, link, target] = ['file', 'directory', 'link', 'target'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  writeFileSync(file, 'content')
  mkdirSync(directory)
  Listener.bind({ path: target }).close()
  symlinkSync(target, link)
  for (const path of [file, directory, link]) {
    const { ino } = lstatSync(path)
    for (const unlink of ['stale', true, false] as const) {
      t.throws(() => Listener.bind({ path, unlink }), { code: 'EADDRINUSE', message: `bind EADDRINUSE ${path}` })
    }
    t.is(lstatSync(path).ino, ino)
  }
})

test('bad_options_remove_nothing', (t) => {
  const path = stalePath(t)
  const { ino } = lstatSync(path)
  for (const options of [{ backlog: -1 }, { noDelay: 5 }, { mode: 0o1000 }, { congestion: 'nonesuch' }]) {
    t.throws(() => Listener.bind({ path, unlink: 'stale', ...options } as never))
    t.throws(() => listen({ path, unlink: 'stale', ...options } as never))
  }
  t.is(lstatSync(path).ino, ino)
})

const ENDS: Record<string, (path: string) => unknown> = {
  'close of a listener': (path) => Listener.bind({ path, unlink: true }).close(),
  'using of a listener': (path) => {
    using listener = Listener.bind({ path, unlink: true })
    return listener
  },
  'stop of a server': (path) => listen({ path, unlink: true }).stop(),
  'close of a server': (path) => listen({ path, unlink: true }).close(),
  'await using of a server': async (path) => {
    await using server = listen({ path, unlink: true })
    return server
  },
  'a listener that was passed to a server': (path) =>
    listen({ listener: Listener.bind({ path, unlink: true }) }).stop(true),
}

for (const [title, end] of Object.entries(ENDS)) {
  test(`unlink_true_removes_the_file_at_the_end (${title})`, async (t) => {
    const path = freePath(t)
    await end(path)
    t.false(existsSync(path))
  })
}

test('unlink_stale_leaves_the_file_at_the_end', (t) => {
  const path = freePath(t)
  Listener.bind({ path, unlink: 'stale' }).close()
  t.true(existsSync(path))
})

test('a_file_that_is_not_ours_any_more_is_not_removed_at_the_end', (t) => {
  const path = freePath(t)
  const first = bind(t, path, { unlink: true })
  unlinkSync(path)
  const second = bind(t, path)
  first.close()
  resetAtEnd(t, Socket.connect({ path }))
  accepts(t, second)
  const third = bind(t, freePath(t), { unlink: true })
  const { path: other } = third.address as { path: string }
  unlinkSync(other)
  writeFileSync(other, 'content')
  third.close()
  t.true(existsSync(other))
})

test('a_file_that_was_moved_or_changed_in_its_mode_is_still_ours_at_its_path', (t) => {
  const path = freePath(t)
  const listener = bind(t, path, { unlink: true })
  renameSync(path, `${path}2`)
  renameSync(`${path}2`, path)
  chmodSync(path, 0o600)
  listener.close()
  t.false(existsSync(path))
})

test('a_path_without_room_for_a_second_name_can_be_stale_too', (t) => {
  const folder = `${temporaryDirectory(t)}/`
  const long = join(folder, 'x'.repeat(100 - folder.length))
  mkdirSync(long)
  const path = join(long, 'a'.repeat(107 - long.length - 1))
  Listener.bind({ path }).close()
  t.truthy(bind(t, path, { unlink: 'stale' }).address)
})

test('the_end_of_a_worker_leaves_the_file', async (t) => {
  const path = freePath(t)
  const source = `
    import('m-socket').then(({ Listener }) => {
      globalThis.listener = Listener.bind({ path: ${JSON.stringify(path)}, unlink: true })
      process.exit()
    })`
  const worker = new Worker(source, { eval: true })
  await new Promise((resolve) => worker.once('exit', resolve))
  t.true(lstatSync(path).isSocket())
})

const WHERE: readonly [options: object, message: RegExp][] = [
  [{ host: '127.0.0.1', port: 0 }, /'(options\.)?\w+' is for a path alone\. Received/],
  [{}, /is for a path alone\. Received/],
  [{ fd: 1000 }, /is for a path alone\. Received/],
  [{ path: abstractName() }, /is for a path alone that is not abstract\. Received/],
]

test('mode_and_unlink_are_for_paths_alone', async (t) => {
  for (const extra of [{ mode: 0o660 }, { unlink: 'stale' }, { unlink: true }, { unlink: false }]) {
    for (const [where, message] of WHERE) {
      const refusal = { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE', message }
      t.throws(() => Listener.bind({ ...where, ...extra } as never), refusal)
      t.throws(() => listen({ ...where, ...extra } as never), refusal)
    }
    const listener = testListener(t)
    t.throws(() => listen({ listener, ...extra } as never), { code: 'ERR_INVALID_ARG_VALUE' })
    t.truthy(listener.address)
    const named = { host: 'nonexistent.invalid', port: 0, ...extra }
    await t.throwsAsync(Listener.bindHost(named as never), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /host and port alone/,
    })
  }
})

test('mode_and_unlink_are_checked', (t) => {
  const path = freePath(t)
  const bad: readonly [options: object, code: string, message: RegExp][] = [
    [{ mode: 0o1000 }, 'ERR_OUT_OF_RANGE', /mode" is out of range.*>= 0 && <= 0o777, such as 0o660. Received 512/],
    [{ mode: 660 }, 'ERR_OUT_OF_RANGE', /such as 0o660. Received 660/],
    [{ mode: -1 }, 'ERR_OUT_OF_RANGE', /mode/],
    [{ mode: 1.5 }, 'ERR_OUT_OF_RANGE', /an integer/],
    [{ mode: '660' }, 'ERR_INVALID_ARG_TYPE', /mode.*of type number/],
    [{ mode: null }, 'ERR_INVALID_ARG_TYPE', /mode.*of type number/],
    [{ unlink: 'always' }, 'ERR_INVALID_ARG_VALUE', /unlink' must be one of: true, false, 'stale'/],
    [{ unlink: 1 }, 'ERR_INVALID_ARG_VALUE', /unlink' must be one of/],
    [{ unlink: null }, 'ERR_INVALID_ARG_VALUE', /unlink' must be one of/],
    [{ readableAll: true }, 'ERR_INVALID_ARG_VALUE', /did you mean 'mode'/],
    [{ unlinks: true }, 'ERR_INVALID_ARG_VALUE', /did you mean 'unlink'/],
  ]
  for (const [options, code, message] of bad) {
    t.throws(() => Listener.bind({ path, ...options } as never), { code, message })
    t.throws(() => listen({ path, ...options } as never), { code, message })
  }
  t.false(existsSync(path))
})

/** Binds the path whenever the main thread says so, and reports whether it could. */
const STARTER = `
  const { parentPort, workerData: { path, turn } } = require('node:worker_threads')
  import('m-socket').then(({ Listener }) => {
    let listener
    parentPort.on('message', (what) => {
      if (what === 'close') return (listener?.close(), (listener = undefined), parentPort.postMessage('closed'))
      Atomics.add(turn, 0, 1)
      while (Atomics.load(turn, 0) < 2);
      try {
        listener = Listener.bind({ path, unlink: 'stale', mode: 0o600 })
        parentPort.postMessage('bound')
      } catch (error) {
        parentPort.postMessage(error.code)
      }
    })
    parentPort.postMessage('ready')
  })`

test('of_two_that_start_at_once_over_a_stale_file_one_gets_the_path', async (t) => {
  const path = stalePath(t)
  const turn = new Int32Array(new SharedArrayBuffer(4))
  const workers = [1, 2].map(() => new Worker(STARTER, { eval: true, workerData: { path, turn } }))
  t.teardown(() => Promise.all(workers.map((worker) => worker.terminate())))
  const answers = async (): Promise<unknown[]> =>
    Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  const ask = async (what: string): Promise<unknown[]> => {
    const all = answers()
    for (const worker of workers) worker.postMessage(what)
    return all
  }
  await answers()
  for (let round = 0; round < 200; round++) {
    Atomics.store(turn, 0, 0)
    t.deepEqual((await ask('bind')).sort(), ['EADDRINUSE', 'bound'])
    const socket = Socket.connect({ path })
    t.is(socket.state, 'connecting')
    t.is(socket.send('x'), 'sent')
    socket.reset()
    await ask('close')
  }
})
