import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext, type Implementation } from 'ava'
import { Listener, Multiplexer, Socket, SocketClosedError, type SocketConnectOptions, SocketError } from 'm-socket'

import { destination4, destination6 } from '../../lib/options/codec.js'
import * as kernel from '../../lib/options/constants.js'
import {
  OPTION_NAMES,
  SETTABLE_OPTION_NAMES,
  type SettableOptionName,
  type SocketOptions,
  changeOptions,
} from '../../lib/options/index.js'
import { openObjects } from '../support/descriptors.js'
import { lackingCookie, lackingOption, testUnless } from '../support/emulation.js'

type Family = 'v4' | 'v6' | 'unix'

interface Pair {
  readonly client: Socket
  readonly accepted: Socket
}

const FAMILIES: readonly Family[] = ['v4', 'v6', 'unix']
const TCP: readonly Family[] = ['v4', 'v6']
const directory = mkdtempSync(join(tmpdir(), 'm-socket-options-'))
let paths = 0

test.after.always(() => rmSync(directory, { recursive: true, force: true }))

function addressFor(family: Family): { host: string } | { path: string } {
  if (family === 'unix') return { path: join(directory, `${paths++}.sock`) }
  return { host: family === 'v4' ? '127.0.0.1' : '::1' }
}

/** Two connected sockets; their listener is closed again. */
async function connected(
  t: ExecutionContext,
  family: Family,
  listening: SocketOptions = {},
  connecting: SocketOptions = {},
): Promise<Pair> {
  const where = addressFor(family)
  const listener = Listener.bind({ ...where, ...listening })
  const { address } = listener
  const target = address !== undefined && 'port' in address ? { ...where, port: address.port } : where
  const client = Socket.connect({ ...target, ...connecting } as SocketConnectOptions)
  t.teardown(() => client.reset())
  client.send('x')
  const accepted = await acceptOne(listener)
  t.teardown(() => accepted.reset())
  listener.close()
  await untilConnected(client)
  return { client, accepted }
}

async function acceptOne(listener: Listener): Promise<Socket> {
  using multiplexer = new Multiplexer(listener)
  for (;;) {
    const socket = listener.accept()
    if (socket !== null) return socket
    await multiplexer.wait(10_000)
  }
}

async function untilConnected(socket: Socket): Promise<void> {
  using multiplexer = new Multiplexer(socket)
  while (socket.state === 'connecting') await multiplexer.wait(10_000)
}

interface Case {
  /** What to set, which must differ from what is read before. */
  readonly value: (before: never) => unknown
  /** What is then read. Default: what was set. */
  readonly reads?: (set: never) => unknown
  /** Default: all. */
  readonly on?: readonly Family[]
  /** Where it can be set and read back. */
  readonly by: readonly ('setOption' | 'connect' | 'listen')[]
  /** Its EPERM names a capability. */
  readonly privileged?: boolean
}

const EVERYWHERE = ['setOption', 'connect', 'listen'] as const
const BEFORE = ['connect', 'listen'] as const
const NOT_INHERITED = ['setOption', 'connect'] as const

const opposite = (before: boolean): boolean => !before
const to =
  <Value>(value: Value) =>
  (): Value =>
    value
const twice = (set: number): number => set * 2

const CASES: Readonly<Record<SettableOptionName, Case>> = {
  typeOfService: { value: to(0x10), by: EVERYWHERE, on: TCP },
  reuseAddress: { value: opposite, by: EVERYWHERE },
  reusePort: { value: opposite, by: EVERYWHERE, on: TCP },
  sendBufferSize: { value: to(20_000), reads: twice, by: EVERYWHERE },
  receiveBufferSize: { value: to(20_000), reads: twice, by: EVERYWHERE },
  keepAlive: {
    value: to({ idle: 19_001, interval: 5000, count: 4 }),
    reads: to({ idle: 20_000, interval: 5000, count: 4 }),
    by: EVERYWHERE,
    on: TCP,
  },
  oobInline: { value: opposite, by: EVERYWHERE },
  priority: { value: to(5), by: NOT_INHERITED },
  linger: { value: to(1500), reads: to(2000), by: EVERYWHERE },
  receiveLowWater: { value: to(7), by: EVERYWHERE },
  bindToDevice: { value: to('lo'), by: EVERYWHERE, on: TCP, privileged: true },
  mark: { value: to(0xfedcba98), by: EVERYWHERE, privileged: true },
  busyPoll: { value: to(50), by: EVERYWHERE, privileged: true },
  maxPacingRate: { value: to(2 ** 33), by: EVERYWHERE },
  incomingCpu: { value: (before: number) => before + 1, by: ['setOption'] },
  freeBind: { value: opposite, by: BEFORE, on: TCP },
  transparent: { value: opposite, by: BEFORE, on: TCP, privileged: true },
  ipv6Only: { value: opposite, by: ['connect'], on: ['v6'] },
  noDelay: { value: opposite, by: EVERYWHERE, on: TCP },
  // The kernel subtracts the TCP options of each segment: the timestamps.
  maxSegment: { value: to(1012), reads: to(1000), by: BEFORE, on: TCP },
  cork: { value: opposite, by: EVERYWHERE, on: TCP },
  synCount: { value: to(3), by: BEFORE, on: TCP },
  // The kernel rounds up to whole retransmissions of the SYN-ACK: two take 1 s and 2 s.
  deferAccept: { value: to(1500), reads: to(3000), by: NOT_INHERITED, on: TCP },
  windowClamp: { value: to(20_000), by: EVERYWHERE, on: TCP },
  quickAck: { value: opposite, by: ['setOption'], on: TCP },
  congestion: { value: (before: string) => (before === 'reno' ? 'cubic' : 'reno'), by: EVERYWHERE, on: TCP },
  userTimeout: { value: to(1234), by: EVERYWHERE, on: TCP },
  fastOpen: { value: to(5), by: ['connect'], on: TCP },
  notSentLowWater: { value: to(2 ** 32 - 2), by: EVERYWHERE, on: TCP },
  fastOpenConnect: { value: opposite, by: ['connect'], on: TCP },
}

/** Whether an emulator lacks the option. */
const LACKING = Object.fromEntries(
  SETTABLE_OPTION_NAMES.map((name) => [name, lackingOption(name, CASES[name].value)]),
) as Readonly<Record<SettableOptionName, string | undefined>>

/** An EPERM that names the missing capability counts as success, so that the tests pass in an unprivileged process. */
async function allowingEperm(t: ExecutionContext, one: Case, body: () => Promise<void>): Promise<void> {
  try {
    await body()
  } catch (error) {
    if (!(one.privileged && error instanceof SocketError && error.code === 'EPERM')) throw error
    t.regex(error.message, /needs CAP_NET_/)
  }
}

test('every_option_that_can_be_set_has_a_case', (t) => {
  t.deepEqual(Object.keys(CASES).sort(), [...SETTABLE_OPTION_NAMES].sort())
})

for (const name of SETTABLE_OPTION_NAMES) {
  const one = CASES[name]
  const reads = (one.reads ?? ((set: unknown) => set)) as (set: unknown) => unknown
  const value = one.value as (before: unknown) => unknown
  const lack = LACKING[name]
  for (const family of one.on ?? FAMILIES) {
    if (one.by.includes('setOption')) {
      testUnless(lack, `${name}_set_on_an_open_socket_is_read_back (${family})`, async (t) => {
        const { client } = await connected(t, family)
        await allowingEperm(t, one, async () => {
          const before = client.getOption(name)
          const set = value(before)
          t.notDeepEqual(before, reads(set))
          client.setOption(name, set as never)
          t.deepEqual(client.getOption(name), reads(set))
        })
      })
    }
    if (one.by.includes('connect')) {
      testUnless(lack, `${name}_given_to_connect_is_read_back (${family})`, async (t) => {
        const { client } = await connected(t, family)
        const before = client.getOption(name)
        const set = value(before)
        t.notDeepEqual(before, reads(set))
        await allowingEperm(t, one, async () => {
          const { client: other } = await connected(t, family, {}, { [name]: set })
          t.deepEqual(other.getOption(name), reads(set))
        })
      })
    }
    // unix(7): an accepted Unix socket inherits nothing.
    if (one.by.includes('listen') && family !== 'unix') {
      testUnless(lack, `${name}_is_inherited_from_the_listener (${family})`, async (t) => {
        const { accepted } = await connected(t, family)
        const before = accepted.getOption(name)
        const set = value(before)
        t.notDeepEqual(before, reads(set))
        await allowingEperm(t, one, async () => {
          const { accepted: other } = await connected(t, family, { [name]: set })
          t.deepEqual(other.getOption(name), reads(set))
        })
      })
    }
  }
}

test('a_listener_with_deferAccept_does_not_report_a_silent_connection', async (t) => {
  const listener = Listener.bind({ host: '127.0.0.1', deferAccept: 60_000 })
  t.teardown(() => listener.close())
  const port = (listener.address as { port: number }).port
  const client = Socket.connect({ host: '127.0.0.1', port })
  t.teardown(() => client.reset())
  await untilConnected(client)
  t.is(client.state, 'open')
  t.is(listener.accept(), null)
  client.send('x')
  const accepted = await acceptOne(listener)
  t.is(accepted.receive(new Uint8Array(8)), 1)
  accepted.reset()
})

test('keepAlive_true_uses_the_times_of_the_system_and_false_turns_it_off', async (t) => {
  const { client } = await connected(t, 'v4')
  client.setOption('keepAlive', true)
  const times = client.getOption('keepAlive')
  if (typeof times === 'boolean') return t.fail('getOption returned no times')
  t.true(times.idle > 0 && times.interval > 0 && times.count > 0)
  client.setOption('keepAlive', { count: 3 })
  t.deepEqual(client.getOption('keepAlive'), { ...times, count: 3 })
  client.setOption('keepAlive', false)
  t.false(client.getOption('keepAlive'))
})

test('keepAlive_has_no_times_on_a_unix_socket', async (t) => {
  const { client } = await connected(t, 'unix')
  t.false(client.getOption('keepAlive'))
  client.setOption('keepAlive', true)
  t.true(client.getOption('keepAlive'))
  t.is(
    code(() => client.setOption('keepAlive', { idle: 1000 })),
    'ENOTSUP',
  )
})

test('a_refused_time_leaves_keepAlive_off', async (t) => {
  const { client } = await connected(t, 'v4')
  t.is(
    code(() => client.setOption('keepAlive', { idle: 40_000_000 })),
    'EINVAL',
  )
  t.false(client.getOption('keepAlive'))
})

test('linger_false_and_linger_0_are_different', async (t) => {
  const { client } = await connected(t, 'v4')
  t.false(client.getOption('linger'))
  client.setOption('linger', 0)
  t.is(client.getOption('linger'), 0)
  client.setOption('linger', false)
  t.false(client.getOption('linger'))
})

testUnless(LACKING.maxPacingRate, 'maxPacingRate_is_Infinity_by_default_and_can_be_set_back_to_Infinity', async (t) => {
  const { client } = await connected(t, 'v4')
  t.is(client.getOption('maxPacingRate'), Infinity)
  client.setOption('maxPacingRate', 1_000_000)
  client.setOption('maxPacingRate', Infinity)
  t.is(client.getOption('maxPacingRate'), Infinity)
})

testUnless(LACKING.bindToDevice, 'an_empty_bindToDevice_unbinds', async (t) => {
  const { client } = await connected(t, 'v4')
  await allowingEperm(t, CASES.bindToDevice, async () => {
    client.setOption('bindToDevice', 'lo')
    client.setOption('bindToDevice', '')
    t.is(client.getOption('bindToDevice'), '')
  })
})

test('priority_is_kept_when_typeOfService_is_given_too', async (t) => {
  const { client } = await connected(t, 'v4', {}, { priority: 3, typeOfService: 0x10 })
  t.is(client.getOption('priority'), 3)
  t.is(client.getOption('typeOfService'), 0x10)
})

test('typeOfService_of_an_IPv6_socket_applies_to_IPv4_too', async (t) => {
  const { client } = await connected(t, 'v6')
  client.setOption('typeOfService', 0x20)
  t.is(client.getsockopt(kernel.IPPROTO_IP, kernel.IP_TOS).readInt32LE(), 0x20)
  t.is(client.getsockopt(kernel.IPPROTO_IPV6, kernel.IPV6_TCLASS).readInt32LE(), 0x20)
})

test('ipv6Only_is_off_by_default_on_a_wildcard_listener_and_can_be_turned_on', async (t) => {
  for (const ipv6Only of [undefined, false, true]) {
    const listener = Listener.bind({ host: '::', ...(ipv6Only === undefined ? {} : { ipv6Only }) })
    const client = Socket.connect({ host: '::1', port: (listener.address as { port: number }).port })
    const accepted = await acceptOne(listener)
    t.is(accepted.getOption('ipv6Only'), ipv6Only ?? false)
    accepted.reset()
    client.reset()
    listener.close()
  }
})

test('ipv6Only_is_ignored_for_an_IPv4_address', async (t) => {
  const { client } = await connected(t, 'v4', { ipv6Only: true }, { ipv6Only: true })
  t.is(client.state, 'open')
})

test('an_option_that_is_set_too_late_is_an_error', async (t) => {
  const { client } = await connected(t, 'v4')
  const { handle } = client as unknown as { handle: number }
  changeOptions(handle, 4, { userTimeout: 1234 })
  t.is(client.getOption('userTimeout'), 1234)
  t.throws(() => changeOptions(handle, 4, { freeBind: true }), {
    code: 'ERR_INVALID_STATE',
    message: 'Invalid state: freeBind has to be set before bind or connect',
  })
})

test('an_undefined_option_is_not_set', async (t) => {
  const { client } = await connected(t, 'v4', {}, { keepAlive: undefined, mark: undefined })
  t.false(client.getOption('keepAlive'))
})

test('peerCredentials_identify_the_peer_of_a_unix_socket', async (t) => {
  const { client, accepted } = await connected(t, 'unix')
  const us = { pid: process.pid, uid: process.geteuid?.(), gid: process.getegid?.() }
  t.deepEqual<unknown, unknown>(client.getOption('peerCredentials'), us)
  t.deepEqual<unknown, unknown>(accepted.getOption('peerCredentials'), us)
})

for (const family of TCP) {
  test(`peerCredentials_are_null_on_tcp (${family})`, async (t) => {
    const { client } = await connected(t, family)
    t.is(client.getOption('peerCredentials'), null)
  })

  test(`originalDestination_of_a_connection_that_was_not_redirected_is_an_error (${family})`, async (t) => {
    const { accepted } = await connected(t, family)
    const error = t.throws(() => accepted.getOption('originalDestination'), { instanceOf: SocketError })
    // ENOPROTOOPT where the kernel has no connection tracking.
    t.true(['ENOENT', 'ENOPROTOOPT'].includes(error?.code ?? ''))
    t.is(error?.syscall, 'getsockopt')
  })
}

test('originalDestination_is_decoded_from_the_sockaddr_of_the_kernel', (t) => {
  const ipv4 = Buffer.from('02001f90c0a80102'.padEnd(32, '0'), 'hex')
  t.deepEqual(destination4.decode(ipv4), { address: '192.168.1.2', family: 'IPv4', port: 8080 })
  const ipv6 = Buffer.from('0a0001bb0000000020010db800000000000000000000000100000000', 'hex')
  t.is(ipv6.length, destination6.size)
  t.deepEqual(destination6.decode(ipv6), { address: '2001:db8::1', family: 'IPv6', port: 443 })
})

for (const name of SETTABLE_OPTION_NAMES) {
  if ((CASES[name].on ?? FAMILIES).includes('unix') || ['keepAlive', 'reusePort', 'bindToDevice'].includes(name))
    continue
  testUnless(LACKING[name], `${name}_is_an_error_on_a_unix_socket`, async (t) => {
    const { client } = await connected(t, 'unix')
    t.is(
      code(() => client.getOption(name)),
      'ENOTSUP',
    )
  })
}

test('setting_a_TCP_option_is_an_error_on_a_unix_socket', async (t) => {
  const { client } = await connected(t, 'unix')
  t.is(
    code(() => client.setOption('noDelay', true)),
    'ENOTSUP',
  )
  t.is(
    code(() => Socket.connect({ ...addressFor('unix'), noDelay: true } as SocketConnectOptions)),
    'ENOTSUP',
  )
})

test('a_setsockopt_error_has_the_errno_and_names_the_option_and_the_value', async (t) => {
  const { client } = await connected(t, 'v4')
  t.throws(() => client.setOption('maxSegment', 5), {
    instanceOf: SocketError,
    code: 'EINVAL',
    message: 'setsockopt EINVAL: maxSegment 5',
  })
  t.throws(() => client.setOption('congestion', 'nonesuch'), {
    code: 'ENOENT',
    message: "setsockopt ENOENT: congestion 'nonesuch'",
  })
  t.is(
    code(() => client.setOption('bindToDevice', 'nonesuch')),
    'ENODEV',
  )
})

const rootOnly =
  process.geteuid?.() === 0
    ? test.serial
    : (title: string, run: Implementation<[]>) => test.serial.skip(`${title} (needs root)`, run)

testUnless(
  LACKING.mark ?? LACKING.transparent,
  'EPERM_names_the_missing_capability',
  async (t) => {
    const { client } = await connected(t, 'v4')
    // There is no await in between, so no other code runs as user 65534.
    process.seteuid?.(65534)
    try {
      t.throws(() => client.setOption('mark', 7), {
        instanceOf: SocketError,
        code: 'EPERM',
        message: 'setsockopt EPERM: mark 7 needs CAP_NET_ADMIN or CAP_NET_RAW',
      })
      t.throws(() => client.setOption('transparent', true), { code: 'EPERM', message: /needs CAP_NET_ADMIN/ })
      t.throws(() => client.setOption('priority', 9), { code: 'EPERM', message: /needs CAP_NET_ADMIN/ })
      t.throws(() => client.setsockopt(kernel.SOL_SOCKET, kernel.SO_RCVBUFFORCE, 1 << 20), {
        code: 'EPERM',
        message: 'setsockopt EPERM: level 1, option 33 needs CAP_NET_ADMIN or CAP_NET_RAW',
      })
    } finally {
      process.seteuid?.(0)
    }
  },
  rootOnly,
)

test('an_unknown_option_is_an_error_that_suggests_the_nearest', async (t) => {
  const { client } = await connected(t, 'v4')
  const bad = client as unknown as { getOption(name: unknown): unknown; setOption(name: unknown, value: unknown): void }
  t.throws(() => bad.getOption('noDealy'), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: "The argument 'name' must be the name of a socket option (did you mean 'noDelay'?). Received 'noDealy'",
  })
  t.throws(() => bad.setOption('keepalive', true), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /did you mean 'keepAlive'/,
  })
  t.throws(() => bad.getOption('utterly unlike'), { code: 'ERR_INVALID_ARG_VALUE', message: /option\. Received/ })
  t.throws(() => bad.getOption('toString'), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => bad.getOption('__proto__'), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => bad.getOption(5), { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => bad.setOption('peerCredentials', null), { code: 'ERR_INVALID_ARG_VALUE', message: /can be set/ })
  t.throws(() => Socket.connect({ host: '127.0.0.1', port: 1, noDealy: true } as never), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: "The property 'options.noDealy' is not a known option (did you mean 'noDelay'?). Received true",
  })
  t.throws(() => Listener.bind({ hots: '::' } as never), { message: /did you mean 'host'/ })
  t.throws(() => client.setOption('keepAlive', { iddle: 5 } as never), { message: /'keepAlive\.iddle' .* 'idle'/ })
})

test('a_value_of_the_wrong_type_is_a_TypeError_for_every_option', async (t) => {
  const { client } = await connected(t, 'v4')
  for (const name of SETTABLE_OPTION_NAMES) {
    for (const wrong of [null, undefined, Symbol('x'), 10n, () => 5]) {
      t.throws(
        () => client.setOption(name, wrong as never),
        { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' },
        name,
      )
    }
  }
  t.throws(() => client.setOption('noDelay', 1 as never), {
    message: 'The "noDelay" argument must be of type boolean. Received type number (1)',
  })
  t.throws(() => Socket.connect({ host: '127.0.0.1', port: 1, linger: 'long' as never }), {
    message: 'The "options.linger" property must be false or of type number. Received type string (\'long\')',
  })
})

test('a_number_out_of_range_is_a_RangeError', async (t) => {
  const { client } = await connected(t, 'v4')
  const outOfRange = { instanceOf: RangeError, code: 'ERR_OUT_OF_RANGE' }
  for (const wrong of [NaN, -1, 1.5, Infinity, 2 ** 31])
    t.throws(() => client.setOption('receiveBufferSize', wrong), outOfRange)
  for (const wrong of [NaN, -1, Infinity, 2 ** 31]) t.throws(() => client.setOption('userTimeout', wrong), outOfRange)
  for (const wrong of [NaN, -1, Infinity]) t.throws(() => client.setOption('linger', wrong), outOfRange)
  for (const wrong of [-1, 256]) t.throws(() => client.setOption('typeOfService', wrong), outOfRange)
  for (const wrong of [-1, 2 ** 32]) t.throws(() => client.setOption('mark', wrong), outOfRange)
  for (const wrong of [-1, 0.5, 2 ** 53]) t.throws(() => client.setOption('maxPacingRate', wrong), outOfRange)
})

test('a_device_name_that_the_kernel_would_truncate_is_refused', async (t) => {
  const { client } = await connected(t, 'v4')
  for (const wrong of ['sixteen-letters-', 'lo\0', 'é'.repeat(8)]) {
    t.is(
      code(() => client.setOption('bindToDevice', wrong)),
      'ERR_INVALID_ARG_VALUE',
    )
  }
})

test('options_of_a_closed_socket_are_an_error', async (t) => {
  const { client } = await connected(t, 'v4')
  client.close()
  t.throws(() => client.getOption('noDelay'), { instanceOf: SocketClosedError })
  t.throws(() => client.setOption('noDelay', true), { instanceOf: SocketClosedError })
  t.throws(() => client.getsockopt(kernel.SOL_SOCKET, kernel.SO_TYPE), { instanceOf: SocketClosedError })
  t.throws(() => client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1), { instanceOf: SocketClosedError })
})

test.serial('a_refused_option_leaks_no_descriptor', (t) => {
  const before = openObjects()
  t.throws(() => Socket.connect({ host: '127.0.0.1', port: 1, maxSegment: 5 }), { code: 'EINVAL' })
  t.throws(() => Listener.bind({ host: '127.0.0.1', congestion: 'nonesuch' }), { code: 'ENOENT' })
  t.throws(() => Listener.bind({ host: '127.0.0.1', noDelay: 'yes' as never }), { code: 'ERR_INVALID_ARG_TYPE' })
  t.deepEqual(openObjects(), before)
})

test('raw_getsockopt_returns_the_bytes_of_the_kernel', async (t) => {
  const { client } = await connected(t, 'v4')
  const stream = Buffer.from([1, 0, 0, 0])
  t.deepEqual(client.getsockopt(kernel.SOL_SOCKET, kernel.SO_TYPE), stream)
  t.deepEqual(client.getsockopt(kernel.SOL_SOCKET, kernel.SO_TYPE, 2), stream.subarray(0, 2))
  t.throws(() => client.getsockopt(kernel.SOL_SOCKET, 9999), {
    instanceOf: SocketError,
    code: 'ENOPROTOOPT',
    message: 'getsockopt ENOPROTOOPT: level 1, option 9999',
  })
  t.is(
    code(() => client.getsockopt('1' as never, 3)),
    'ERR_INVALID_ARG_TYPE',
  )
  t.is(
    code(() => client.getsockopt(1, 3, -1)),
    'ERR_OUT_OF_RANGE',
  )
})

testUnless(lackingCookie, 'raw_getsockopt_returns_more_than_four_bytes', async (t) => {
  const { client } = await connected(t, 'v4')
  t.is(client.getsockopt(kernel.SOL_SOCKET, kernel.SO_COOKIE).length, 8)
})

test('raw_setsockopt_takes_numbers_booleans_and_bytes', async (t) => {
  const { client } = await connected(t, 'v4')
  const noDelay = (): boolean => client.getOption('noDelay')
  client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 1)
  t.true(noDelay())
  client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, false)
  t.false(noDelay())
  client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, new Uint8Array([1, 0, 0, 0]))
  t.true(noDelay())
  t.is(
    code(() => client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, new Uint8Array(2))),
    'EINVAL',
  )
  t.is(
    code(() => client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 'on' as never)),
    'ERR_INVALID_ARG_TYPE',
  )
  t.is(
    code(() => client.setsockopt(kernel.IPPROTO_TCP, kernel.TCP_NODELAY, 2 ** 32)),
    'ERR_OUT_OF_RANGE',
  )
})

for (const name of OPTION_NAMES) {
  testUnless(
    (LACKING as Readonly<Record<string, string | undefined>>)[name],
    name === 'originalDestination' ? `${name}_cannot_be_read_without_a_redirect` : `${name}_can_be_read`,
    async (t) => {
      const { client } = await connected(t, 'v6')
      t.is(code(() => client.getOption(name)) !== undefined, name === 'originalDestination')
    },
  )
}

/** The code of what `body` throws. */
function code(body: () => unknown): string | undefined {
  try {
    body()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}
