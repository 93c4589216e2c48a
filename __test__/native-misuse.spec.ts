// The native functions check their arguments themselves: m-socket/native is public, and TypeScript's checks are above it.

import { constants } from 'node:os'

import test, { type ExecutionContext } from 'ava'
import * as native from 'm-socket/native'

import { NOT_BYTES, SLEEP_SLICE } from '../lib/native.js'

const { EBADF, EINVAL } = constants.errno

type Call = (...args: unknown[]) => unknown

/** What is no number at all. */
const NO_NUMBERS: readonly unknown[] = [undefined, null, '0', '', {}, [], true, false, Symbol('0'), 0n, () => 0]

/** Numbers that are no int: Node-API converts them to 0, or cuts or wraps them. */
const NO_INTS: readonly number[] = [
  NaN,
  Infinity,
  -Infinity,
  0.5,
  -0.5,
  1e300,
  -1e300,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  2 ** 31,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 53,
  -(2 ** 31) - 1,
  -(2 ** 32),
  2 ** 63,
  2 ** 64,
]

/** Parts that no small array has. */
const NO_PARTS: readonly unknown[] = [
  -1,
  -0.5,
  0.5,
  NaN,
  Infinity,
  -Infinity,
  65,
  2 ** 31,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 33,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  1e300,
  null,
  '1',
  {},
  1n,
]

const NO_BYTES: readonly unknown[] = [
  undefined,
  null,
  0,
  'bytes',
  {},
  [1, 2],
  new ArrayBuffer(64),
  new DataView(new ArrayBuffer(64)),
  new Int8Array(64),
  new Uint8ClampedArray(64),
  new Float64Array(8),
  new Proxy(new Uint8Array(64), {}),
]

const NO_STRINGS: readonly unknown[] = [undefined, null, 1, {}, Symbol('a'), ['127.0.0.1']]

/** An argument: what is right, what is wrong, and the code for it. */
interface Kind {
  readonly valid: (rig: Rig) => unknown
  readonly invalid: readonly unknown[]
  readonly code: number
}

/** Open sources, which no wrong call may touch. */
interface Rig {
  readonly near: number
  readonly far: number
  readonly listener: number
  readonly multiplexer: number
}

const number = (valid: number, invalid: readonly unknown[]): Kind => ({
  valid: () => valid,
  invalid: [...NO_NUMBERS, ...invalid],
  code: -EINVAL,
})
const named = (valid: (rig: Rig) => number): Kind => ({
  valid,
  invalid: [...NO_NUMBERS, ...NO_INTS, -1, -2, -(2 ** 31), 2 ** 31 - 1],
  code: -EBADF,
})

const socket = named((rig) => rig.near)
const listener = named((rig) => rig.listener)
const multiplexer = named((rig) => rig.multiplexer)
const descriptor = named(() => 0)
const bytes: Kind = { valid: () => new Uint8Array(64), invalid: NO_BYTES, code: NOT_BYTES }
const part: Kind = { valid: () => 1, invalid: NO_PARTS, code: NOT_BYTES }
const host: Kind = {
  valid: () => '127.0.0.1',
  invalid: [...NO_STRINGS, '', 'localhost', '127.0.0.1\0', '1', '\ud800'],
  code: -EINVAL,
}
const path: Kind = { valid: () => '\0m-socket', invalid: [...NO_STRINGS, '/tmp\0/m-socket'], code: -EINVAL }
const id: Kind = { valid: () => 'of a socket in transit', invalid: NO_STRINGS, code: -EINVAL }
const port = number(1, [...NO_INTS, -1, 65_536])
const interest = number(1, [...NO_INTS, -1, 8, 9, 2 ** 31 - 1])
const mode = number(1, [...NO_INTS, -1, 3, 2 ** 31 - 1])
const int = number(1, NO_INTS)
const timeout = number(0, NO_INTS)
const sizes = NO_INTS.filter((it) => !(Number.isSafeInteger(it) && it >= 0))
const size = number(0, [...sizes, -1])
const limit = number(1, [...sizes, -1, 0])
const flag: Kind = { valid: () => false, invalid: [], code: 0 }

/** All native functions, by their arguments. An argument after which something would be opened is not in a list. */
const FUNCTIONS: Record<string, readonly Kind[]> = {
  accept: [listener],
  add: [multiplexer, socket, interest, mode],
  addDescriptor: [multiplexer, descriptor, interest, mode],
  adoptListener: [descriptor, int],
  adoptSocket: [descriptor],
  adoptUnconnected: [descriptor],
  allowFileWaits: [socket],
  attach: [id],
  bind: [socket, host, port],
  bindPath: [socket, path],
  callWithoutContext: [],
  cancelFile: [socket, number(1, [...NO_INTS, -1])],
  close: [socket],
  closeMultiplexer: [multiplexer],
  connect: [socket, host, port],
  connectPath: [socket, path],
  descriptor: [socket],
  detach: [socket, id],
  discard: [socket],
  disown: [listener],
  duplicate: [descriptor],
  end: [socket, bytes, part, part],
  endBatch: [multiplexer, limit],
  endRelayed: [socket],
  failure: [socket],
  fileProgress: [socket, { ...bytes, invalid: [...NO_BYTES, new Uint8Array(15)] }],
  flush: [socket],
  flushCorked: [],
  getOption: [socket, int, int, bytes],
  idle: [multiplexer, limit],
  listen: [socket, int],
  loadFile: [socket],
  localAddress: [socket],
  loopStatus: [multiplexer],
  modify: [multiplexer, socket, interest, mode],
  open: [number(4, [...NO_INTS, -1, 1, 2, 10])],
  openClosingPhase: [],
  openMultipath: [number(4, [...NO_INTS, -1, 1, 2, 10])],
  openMultiplexer: [],
  peek: [socket, bytes],
  prefetched: [multiplexer, bytes],
  probePath: [path],
  queued: [socket],
  receive: [socket, bytes, part, part],
  receiveDescriptors: [
    socket,
    bytes,
    { ...bytes, valid: () => new Uint8Array(1020), invalid: [...NO_BYTES, new Uint8Array(1019)] },
  ],
  relay: [multiplexer, socket, named((rig) => rig.far)],
  remoteAddress: [socket],
  remove: [multiplexer, socket],
  requestClosingPhase: [],
  reset: [socket],
  send: [socket, bytes, part, part],
  sendDescriptors: [
    socket,
    { ...bytes, valid: () => [], invalid: [...NO_BYTES.slice(0, 5), [1], [new Int8Array(1)], [[]]] },
    bytes,
  ],
  sendFile: [socket, descriptor, number(0, [...sizes, -1]), number(1, [...sizes, -1])],
  sendPieces: [
    socket,
    { ...bytes, valid: () => [], invalid: [...NO_BYTES.slice(0, 5), [1], [new Int8Array(1)], [[]]] },
  ],
  sendQueueLimit: [socket],
  serve: [multiplexer, listener, interest, size, size],
  service: [multiplexer, { ...bytes, valid: () => new Uint8Array(64) }],
  setInterest: [multiplexer, socket, interest, mode, limit],
  setOption: [socket, int, int, bytes],
  setPassed: [socket],
  setReferenced: [multiplexer, flag],
  setSendQueueLimit: [socket, number(65_536, [...sizes, -1])],
  shutdown: [socket, number(0, [...NO_INTS, -1, 3])],
  sleepOn: [socket, flag, timeout],
  state: [socket],
  takeQueue: [socket, bytes],
  totals: [socket, { ...bytes, invalid: [...NO_BYTES, new Uint8Array(0), new Uint8Array(15)] }],
  tryWrite: [socket, bytes, part, part],
  unread: [socket, bytes],
  unreadLength: [socket],
  unsent: [socket],
  wait: [multiplexer, timeout, bytes, { ...bytes, invalid: NO_BYTES.slice(1) }, { ...part, valid: () => 0 }],
  write: [socket, bytes, flag, part, part],
}

test('the_table_has_every_native_function', (t) => {
  const all = Object.entries(native).filter(([, value]) => typeof value === 'function')
  t.deepEqual(all.map(([name]) => name).sort(), Object.keys(FUNCTIONS).sort())
})

for (const [name, kinds] of Object.entries(FUNCTIONS)) {
  for (const [index, { invalid, code }] of kinds.entries()) {
    if (invalid.length === 0) continue
    test(`${name}_refuses_a_wrong_argument_${index + 1}_and_harms_nothing`, (t) => {
      const rig = open(t)
      const before = snapshot(rig)
      for (const value of invalid) {
        const args = kinds.map((kind, at) => (at === index ? value : kind.valid(rig)))
        const answer = outcome(() => (native as unknown as Record<string, Call>)[name]!(...args))
        t.true(answer === code || answer === null || answer instanceof Error, `${show(value)}: ${show(answer)}`)
        if (answer === null) t.regex(name, /Address$|^loopStatus$/)
        t.deepEqual(snapshot(rig), before, show(value))
      }
      t.is(native.send(rig.near, Buffer.from('lives')), 0)
      native.sleepOn(rig.far, false, SLEEP_SLICE)
      t.is(native.receive(rig.far, new Uint8Array(8)), 5)
    })
  }
}

test('openMultiplexer_refuses_what_is_no_function', (t) => {
  for (const value of [...NO_NUMBERS.slice(0, -1), 1, new Proxy({}, {})]) {
    t.throws(() => native.openMultiplexer(value as () => void), { instanceOf: Error }, show(value))
  }
  for (const value of ['true', 1, {}, null]) {
    const answer = outcome(() => native.openMultiplexer(() => {}, value as boolean))
    if (typeof answer === 'number') native.closeMultiplexer(answer)
    else t.true(answer instanceof Error)
  }
})

test('functions_without_arguments_refuse_them_all', (t) => {
  for (const [name, kinds] of Object.entries(FUNCTIONS)) {
    if (kinds.length === 0) continue
    const answer = outcome(() => (native as unknown as Record<string, Call>)[name]!())
    t.true(answer instanceof Error || answer === null || (answer as number) < 0, `${name}: ${show(answer)}`)
  }
  t.true(native.flushCorked() >= 0)
})

/** A connected pair, a listener and a multiplexer with one of its ends, closed at the end of the test. */
function open(t: ExecutionContext): Rig {
  const listening = native.open(4)
  native.bind(listening, '127.0.0.1', 0)
  native.listen(listening, 5)
  const near = native.open(4)
  native.connect(near, '127.0.0.1', native.localAddress(listening)!.port!)
  native.sleepOn(listening, false, SLEEP_SLICE)
  const far = native.accept(listening)
  native.state(near)
  const opened = native.openMultiplexer(() => {})
  t.is(native.add(opened, far, 1, 1), 0)
  t.teardown(() => {
    native.closeMultiplexer(opened)
    for (const handle of [near, far]) native.reset(handle)
    native.close(listening)
  })
  return { near, far, listener: listening, multiplexer: opened }
}

/** What a call that named the wrong thing could have changed. */
function snapshot({ near, far, listener: listening, multiplexer: opened }: Rig): unknown {
  const of = (handle: number): unknown => [
    native.descriptor(handle),
    native.state(handle),
    native.failure(handle),
    native.queued(handle),
    native.sendQueueLimit(handle),
    native.localAddress(handle),
    native.remoteAddress(handle),
  ]
  const totals = new Float64Array(2)
  native.totals(near, new Uint8Array(totals.buffer))
  return [of(near), of(far), native.descriptor(listening), native.idle(opened, 1), totals]
}

function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

function show(value: unknown): string {
  return typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : String(value)
}
