import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import {
  Connection,
  type InetAddress,
  Listener,
  Multiplexer,
  type ReadyEvent,
  Server,
  Socket,
  SocketClosedError,
  SocketError,
  toDuplex,
} from 'm-socket'

import { openObjects } from './support/descriptors.js'
import { addressOf, closeAtEnd, connectedPair, resetAtEnd, testListener } from './support/pair.js'
import { abstractName, freePath, temporaryDirectory } from './support/unix.js'
import { connectOutcome, nextEvent, receiveExactly, until } from './support/waiting.js'

/** The expected error: its class, code and message. */
type Refusal = readonly [new (...args: never[]) => Error, string, string | RegExp]

/** Asserts that `act` throws this error and leaks no descriptor. */
function refuses(t: ExecutionContext, act: () => unknown, [instanceOf, code, message]: Refusal, label?: string): void {
  const before = openObjects()
  t.throws(act, { instanceOf, code, message }, label)
  t.deepEqual(openObjects(), before, label)
}

/** As {@link refuses}, for a promise. Descriptors are not compared: the runtime may open some in the meantime. */
async function rejects(
  t: ExecutionContext,
  act: () => Promise<unknown>,
  [instanceOf, code, message]: Refusal,
  label?: string,
): Promise<void> {
  await t.throwsAsync(act, { instanceOf, code, message }, label)
}

/** Passes a value that the types forbid. */
const wrong = (value: unknown): never => value as never

const bytes = new Uint8Array(8)

test.before('opens the shared poller, so that open descriptors can be compared', async () => {
  using listener = Listener.bind({ host: '127.0.0.1' })
  setImmediate(() => listener.close())
  for await (const socket of listener) socket.close()
})

// Ports

const BAD_PORTS: [unknown, string][] = [
  [-1, 'type number (-1)'],
  [65536, 'type number (65536)'],
  [1.5, 'type number (1.5)'],
  [Number.NaN, 'type number (NaN)'],
  [Number.POSITIVE_INFINITY, 'type number (Infinity)'],
  ['80x', "type string ('80x')"],
  ['', "type string ('')"],
  [' 80', "type string (' 80')"],
  ['1e3', "type string ('1e3')"],
  ['-1', "type string ('-1')"],
  ['0x50', "type string ('0x50')"],
  [null, 'null'],
  [{}, 'an instance of Object'],
  [80n, 'type bigint (80n)'],
]

test.serial('a_port_outside_0_to_65535_is_a_range_error', (t) => {
  for (const [port, shown] of BAD_PORTS) {
    const refusal: Refusal = [RangeError, 'ERR_SOCKET_BAD_PORT', `port should be >= 0 and < 65536. Received ${shown}.`]
    refuses(t, () => Listener.bind({ port: wrong(port) }), refusal)
    refuses(t, () => Listener.bind({ host: '127.0.0.1', port: wrong(port) }), refusal)
    refuses(t, () => Socket.connect({ host: '127.0.0.1', port: wrong(port) }), refusal)
    refuses(t, () => Socket.connect({ port: 80, localPort: wrong(port) }), [
      RangeError,
      'ERR_SOCKET_BAD_PORT',
      `localPort should be >= 0 and < 65536. Received ${shown}.`,
    ])
  }
})

test.serial('connect_needs_a_port', (t) => {
  refuses(t, () => Socket.connect({ host: '127.0.0.1' } as never), [
    RangeError,
    'ERR_SOCKET_BAD_PORT',
    'port should be >= 0 and < 65536. Received undefined.',
  ])
})

test.serial('a_bad_port_rejects_the_promise_of_bindHost', async (t) => {
  await rejects(t, () => Listener.bindHost({ host: '::1', port: -1 }), [RangeError, 'ERR_SOCKET_BAD_PORT', /-1/])
})

// Hosts

const NON_STRINGS: [unknown, string][] = [
  [5, 'type number (5)'],
  [null, 'null'],
  [{}, 'an instance of Object'],
  [['127.0.0.1'], 'an instance of Array'],
  [Buffer.from('::1'), 'an instance of Buffer'],
  [true, 'type boolean (true)'],
  [Symbol('host'), 'type symbol (Symbol(host))'],
]

const MALFORMED = [
  '',
  ' ',
  '1.2.3',
  '256.0.0.1',
  '127.0.0.1 ',
  '127.0.0.1:80',
  '[::1]',
  '::g',
  '1:2:3',
  '127.0.0.1\0',
  'a\0b',
  '0x7f000001',
  '::1%',
  '-',
]

test.serial('a_host_that_is_not_a_string_is_a_type_error', async (t) => {
  for (const [host, shown] of NON_STRINGS) {
    const refusal = (name: string): Refusal => [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "${name}" argument must be of type string. Received ${shown}`,
    ]
    refuses(t, () => Listener.bind({ host: wrong(host) }), refusal('host'))
    refuses(t, () => Socket.connect({ host: wrong(host), port: 80 }), refusal('host'))
    refuses(t, () => Socket.connect({ port: 80, localAddress: wrong(host) }), refusal('localAddress'))
    await rejects(t, () => Listener.bindHost({ host: wrong(host) }), refusal('host'))
  }
})

test.serial('a_malformed_host_is_a_type_error', (t) => {
  for (const host of MALFORMED) {
    const refusal = (name: string): Refusal => [
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      new RegExp(`'${name}' must be a numeric IPv4 or IPv6 address(; | without brackets).*Received '`),
    ]
    refuses(t, () => Listener.bind({ host }), refusal('host'), host)
    refuses(t, () => Socket.connect({ host, port: 80 }), refusal('host'), host)
    refuses(t, () => Socket.connect({ port: 80, localAddress: host }), refusal('localAddress'), host)
  }
})

test.serial('a_host_name_is_refused_with_a_hint_how_to_resolve_it', (t) => {
  refuses(t, () => Listener.bind({ host: 'localhost' }), [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    "The argument 'host' must be a numeric IPv4 or IPv6 address; use Listener.bindHost for names. Received 'localhost'",
  ])
  refuses(t, () => Socket.connect({ host: 'localhost', port: 80 }), [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    /numeric.*node:dns.*Received 'localhost'/,
  ])
})

test.serial('an_unknown_zone_is_ENODEV', (t) => {
  refuses(t, () => Listener.bind({ host: 'fe80::1%nowhere' }), [SocketError, 'ENODEV', 'bind ENODEV fe80::1%nowhere'])
})

test.serial('different_address_families_are_an_error', (t) => {
  refuses(t, () => Socket.connect({ host: '127.0.0.1', port: 80, localAddress: '::1' }), [
    SocketError,
    'EAFNOSUPPORT',
    'bind EAFNOSUPPORT ::1',
  ])
  // A sockaddr_in is too short for an IPv6 socket: bind(2).
  refuses(t, () => Socket.connect({ host: '::1', port: 80, localAddress: '127.0.0.1' }), [
    SocketError,
    'EINVAL',
    'bind EINVAL 127.0.0.1',
  ])
})

// Paths

test.serial('a_path_has_at_most_107_bytes', (t) => {
  for (const path of ['/'.padEnd(108, 'a'), '/ä'.padEnd(108, 'ö'), '/'.padEnd(4000, 'x')]) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      new RegExp(`'path' must have at most 107 bytes of UTF-8 and has ${Buffer.byteLength(path)}\\. Received '/`),
    ]
    refuses(t, () => Listener.bind({ path }), refusal)
    refuses(t, () => Socket.connect({ path }), refusal)
  }
})

test.serial('a_path_of_107_bytes_is_accepted', async (t) => {
  const directory = temporaryDirectory(t)
  const path = join(directory, 'x'.repeat(106 - Buffer.byteLength(directory)))
  t.is(Buffer.byteLength(path), 107)
  const listener = closeAtEnd(t, Listener.bind({ path }))
  t.deepEqual(listener.address, { path })
  t.is(await connectOutcome(resetAtEnd(t, Socket.connect({ path }))), 'open')
})

test.serial('an_abstract_name_has_at_most_107_bytes_after_its_NUL', async (t) => {
  const path = abstractName().padEnd(108, 'x')
  const listener = closeAtEnd(t, Listener.bind({ path }))
  t.deepEqual(listener.address, { path })
  t.is(await connectOutcome(resetAtEnd(t, Socket.connect({ path }))), 'open')
  refuses(t, () => Listener.bind({ path: `${path}x` }), [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    /at most 108 bytes of UTF-8 and has 109/,
  ])
})

test.serial('an_empty_path_and_a_path_that_contains_NUL_are_type_errors', (t) => {
  refuses(t, () => Listener.bind({ path: '' }), [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    "The argument 'path' must not be empty. Received ''",
  ])
  refuses(t, () => Socket.connect({ path: '/tmp/a\0b' }), [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    /'path' must contain NUL only as its first character.*Received '\/tmp\/a\\x00b'/,
  ])
})

test.serial('a_path_that_is_not_a_string_is_a_type_error', (t) => {
  for (const [path, shown] of NON_STRINGS) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "path" argument must be of type string. Received ${shown}`,
    ]
    refuses(t, () => Listener.bind({ path: wrong(path) }), refusal)
    refuses(t, () => Socket.connect({ path: wrong(path) }), refusal)
  }
})

test.serial('path_excludes_host_and_port_and_fd_excludes_all_of_them', (t) => {
  const path = freePath(t)
  for (const options of [
    { path, host: '::1' },
    { path, port: 0 },
  ]) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      /"options" argument must have either path, or host and port\. Received/,
    ]
    refuses(t, () => Listener.bind(options as never), refusal)
    refuses(t, () => Socket.connect(options as never), refusal)
  }
  refuses(t, () => Socket.connect({ path, localAddress: '127.0.0.1' } as never), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /either path/,
  ])
  for (const options of [
    { fd: 0, path },
    { fd: 0, host: '::1' },
    { fd: 0, port: 80 },
  ]) {
    refuses(t, () => Listener.bind(options as never), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      /must have either fd, or path, or host and port\. Received/,
    ])
  }
})

// Addresses

test.serial('an_address_in_use_or_not_local_is_a_socket_error_that_names_it', (t) => {
  const listener = testListener(t)
  const { port } = listener.address as InetAddress
  refuses(t, () => Listener.bind({ host: '127.0.0.1', port }), [
    SocketError,
    'EADDRINUSE',
    new RegExp(`^(bind|listen) EADDRINUSE 127\\.0\\.0\\.1:${port}$`),
  ])
  refuses(t, () => Listener.bind({ host: '203.0.113.1', port: 80 }), [
    SocketError,
    'EADDRNOTAVAIL',
    'bind EADDRNOTAVAIL 203.0.113.1:80',
  ])
  refuses(t, () => Listener.bind({ host: '2001:db8::1' }), [
    SocketError,
    'EADDRNOTAVAIL',
    'bind EADDRNOTAVAIL 2001:db8::1',
  ])
  refuses(t, () => Listener.bind({ path: '/nonexistent/socket' }), [
    SocketError,
    'ENOENT',
    'bind ENOENT /nonexistent/socket',
  ])
  refuses(t, () => Listener.bind({ path: '/dev/null/socket' }), [
    SocketError,
    'ENOTDIR',
    'bind ENOTDIR /dev/null/socket',
  ])
})

// Options

test.serial('an_unknown_option_is_a_type_error_that_suggests_the_nearest', async (t) => {
  const refusal: Refusal = [
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    /'options\.hots' is not a known option \(did you mean 'host'\?\)\. Received '::1'/,
  ]
  refuses(t, () => Listener.bind(wrong({ hots: '::1' })), refusal)
  refuses(t, () => Socket.connect(wrong({ hots: '::1', port: 80 })), refusal)
  await rejects(t, () => Listener.bindHost(wrong({ hots: '::1' })), refusal)
})

test.serial('options_must_be_an_object', async (t) => {
  for (const [options, shown] of [
    [null, 'null'],
    [80, 'type number (80)'],
    ['::1', "type string ('::1')"],
  ] as const) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "options" argument must be of type object. Received ${shown}`,
    ]
    refuses(t, () => Listener.bind(wrong(options)), refusal)
    refuses(t, () => Socket.connect(wrong(options)), refusal)
    await rejects(t, () => Listener.bindHost(wrong(options)), refusal)
  }
  refuses(t, () => Socket.connect(wrong(undefined)), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /of type object\. Received undefined/,
  ])
})

test.serial('a_wrong_option_value_leaves_nothing_open', (t) => {
  refuses(t, () => Listener.bind({ noDelay: wrong('yes') }), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /options\.noDelay.*boolean.*'yes'/,
  ])
  refuses(t, () => Socket.connect({ port: 80, noDelay: wrong(1) }), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /options\.noDelay.*boolean.*1/,
  ])
})

test.serial('backlog_must_be_a_non_negative_integer', (t) => {
  for (const backlog of [-1, 1.5, Number.NaN, 2 ** 31]) {
    refuses(t, () => Listener.bind({ backlog }), [
      RangeError,
      'ERR_OUT_OF_RANGE',
      new RegExp(`"backlog" is out of range\\. It must be .*Received ${backlog}`),
    ])
  }
  refuses(t, () => Listener.bind({ backlog: wrong('5') }), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /"backlog" argument must be of type number\. Received type string/,
  ])
})

// Buffers

const NO_BYTES: [unknown, string][] = [
  [undefined, 'undefined'],
  [null, 'null'],
  [5, 'type number (5)'],
  [{}, 'an instance of Object'],
  [{ length: 4 }, 'an instance of Object'],
  [new ArrayBuffer(4), 'an instance of ArrayBuffer'],
  [new SharedArrayBuffer(4), 'an instance of SharedArrayBuffer'],
  [new DataView(new ArrayBuffer(4)), 'an instance of DataView'],
  [new Uint16Array(4), 'an instance of Uint16Array'],
  [new Int8Array(4), 'an instance of Int8Array'],
  [new Uint8ClampedArray(4), 'an instance of Uint8ClampedArray'],
  [new Float64Array(4), 'an instance of Float64Array'],
  [() => bytes, 'function '],
]

test.serial('receive_and_peek_take_only_a_Uint8Array', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('intact')
  await nextEvent(client, 'r')
  for (const [into, shown] of [
    ...NO_BYTES,
    ['text', "type string ('text')"],
    [[1, 2], 'an instance of Array'],
  ] as const) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "into" argument must be a Uint8Array. Received ${shown}`,
    ]
    refuses(t, () => client.receive(wrong(into)), refusal)
    refuses(t, () => client.peek(wrong(into)), refusal)
  }
  t.is((await receiveExactly(client, 6)).toString(), 'intact')
})

test.serial('send_takes_bytes_strings_or_pieces_and_sends_nothing_of_an_invalid_array', async (t) => {
  const { client, server } = await connectedPair(t)
  const arrays = [
    [1, 2],
    ['text'],
    [bytes, 'text'],
    [bytes, undefined],
    [bytes, new Uint16Array(1)],
    [[bytes]],
    Object.assign([], { 1: bytes }),
  ]
  for (const [data, shown] of [...NO_BYTES, ...arrays.map((array) => [array, 'an instance of Array'])] as [
    unknown,
    string,
  ][]) {
    refuses(t, () => client.send(wrong(data)), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "data" argument must be a Uint8Array, a string or an array of Uint8Arrays. Received ${shown}`,
    ])
  }
  t.is(client.bytesSent, 0)
  client.send('this alone')
  t.is((await receiveExactly(server, 10)).toString(), 'this alone')
  t.is(server.receive(bytes), null)
})

/** An array whose buffer has been transferred. */
function detached(): Uint8Array {
  const array = new Uint8Array(8)
  structuredClone(array, { transfer: [array.buffer] })
  return array
}

/** ES2024: a resizable buffer of at most 16 bytes. */
function resizable(length: number): ArrayBuffer & { resize(length: number): void } {
  return Reflect.construct(ArrayBuffer, [length, { maxByteLength: 16 }])
}

/** ES2024: a growable shared buffer of at most 16 bytes. */
function growable(length: number): SharedArrayBuffer & { grow(length: number): void } {
  return Reflect.construct(SharedArrayBuffer, [length, { maxByteLength: 16 }])
}

test.serial('receiving_into_an_empty_or_detached_array_is_a_range_error', async (t) => {
  const { client, server } = await connectedPair(t)
  server.send('intact')
  await nextEvent(client, 'r')
  const memory = resizable(8)
  const outside = new Uint8Array(memory, 4, 4)
  memory.resize(4)
  for (const into of [
    new Uint8Array(0),
    Buffer.alloc(0),
    detached(),
    outside,
    new Uint8Array(new SharedArrayBuffer(0)),
  ]) {
    const refusal: Refusal = [
      RangeError,
      'ERR_OUT_OF_RANGE',
      /"into\.byteLength" is out of range\. It must be >= 1 \(it is empty or detached\)\. Received 0/,
    ]
    refuses(t, () => client.receive(into), refusal)
    refuses(t, () => client.peek(into), refusal)
  }
  t.is(client.state, 'open')
  t.is((await receiveExactly(client, 6)).toString(), 'intact')
})

test.serial('sending_a_detached_array_sends_nothing', async (t) => {
  const { client } = await connectedPair(t)
  t.is(client.send(detached()), 'sent')
  t.is(client.send([detached(), Buffer.from('x'), detached()]), 'sent')
  t.is(client.bytesSent, 1)
})

test.serial('resizable_and_growable_buffers_are_used_at_their_current_length', async (t) => {
  const { client, server } = await connectedPair(t)
  const memory = resizable(8)
  const tracking = new Uint8Array(memory)
  memory.resize(16)
  t.is(client.send(tracking.fill(1)), 'sent')
  t.is(client.bytesSent, 16)
  memory.resize(4)
  t.is(client.send(tracking), 'sent')
  t.is(client.bytesSent, 20)
  await until(() => server.peek(new Uint8Array(100)) === 20, server)
  t.is(server.receive(tracking), 4)
  memory.resize(8)
  t.is(server.receive(tracking), 8)
  const shared = growable(2)
  const growing = new Uint8Array(shared)
  t.is(server.receive(growing), 2)
  shared.grow(8)
  t.is(server.receive(growing), 6)
  t.is(server.receive(growing), null)
})

// Timeouts, interests, modes

test.serial('waitSync_takes_only_an_extensible_array_for_events', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(server, 'r')
  client.send('x')
  await until(() => server.peek(new Uint8Array(1)) === 1)
  for (const into of [null, 5, {}, new Set(), Object.freeze([]), Object.seal([]), Object.preventExtensions([])]) {
    refuses(t, () => multiplexer.waitSync(0, wrong(into)), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      /^The "into" argument must be an array that can grow\. Received /,
    ])
  }
  t.is(multiplexer.poll()[0]?.target, server, 'the event is reported after all the refusals')
})

test.serial('a_timeout_must_be_a_non_negative_number', async (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const [timeout, shown] of [
    [-1, '-1'],
    [-0.001, '-0.001'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ] as const) {
    const refusal: Refusal = [
      RangeError,
      'ERR_OUT_OF_RANGE',
      `The value of "timeout" is out of range. It must be >= 0. Received ${shown}`,
    ]
    refuses(t, () => multiplexer.waitSync(timeout), refusal)
    await rejects(t, () => multiplexer.wait(timeout), refusal)
  }
  for (const [timeout, shown] of [
    ['5', "type string ('5')"],
    [null, 'null'],
    [{}, 'an instance of Object'],
    [5n, 'type bigint (5n)'],
  ] as const) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "timeout" argument must be of type number. Received ${shown}`,
    ]
    refuses(t, () => multiplexer.waitSync(wrong(timeout)), refusal)
    await rejects(t, () => multiplexer.wait(wrong(timeout)), refusal)
  }
  t.deepEqual(await multiplexer.wait(0), [])
})

test.serial('an_unknown_interest_or_mode_is_a_type_error_that_lists_the_known_ones', async (t) => {
  const { client } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const interests = /'interest' must be one of: 'r', 'w', 'rw'\. Received/
  const modes = /'mode' must be one of: 'edge', 'level', 'oneshot'\. Received/
  const refuseAll = (): void => {
    for (const word of ['', 'x', 'wr', 'R', null, 3, {}]) {
      for (const verb of ['add', 'modify'] as const) {
        refuses(
          t,
          () => multiplexer[verb](client, wrong(word)),
          [TypeError, 'ERR_INVALID_ARG_VALUE', interests],
          String(word),
        )
        refuses(
          t,
          () => multiplexer[verb](client, 'r', wrong(word)),
          [TypeError, 'ERR_INVALID_ARG_VALUE', modes],
          String(word),
        )
      }
    }
  }
  refuseAll()
  t.notThrows(() => multiplexer.add(client, 'w', 'level'))
  refuseAll()
  t.is((await multiplexer.wait(10_000)).length, 1)
})

// Targets

test.serial('adding_twice_is_a_socket_error', async (t) => {
  const { client } = await connectedPair(t)
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(client, listener))
  const second = closeAtEnd(t, new Multiplexer())
  for (const target of [client, listener]) {
    refuses(t, () => multiplexer.add(target), [
      SocketError,
      'EEXIST',
      /^epoll_ctl EEXIST: the target is in this Multiplexer already/,
    ])
    refuses(t, () => second.add(target), [
      SocketError,
      'EEXIST',
      /^epoll_ctl EEXIST: the target is in another multiplexer/,
    ])
  }
  refuses(t, () => new Multiplexer(client), [SocketError, 'EEXIST', /another multiplexer/])
  t.is((await multiplexer.wait(10_000))[0]?.target, client)
  multiplexer.remove(client)
  t.notThrows(() => second.add(client))
})

test.serial('a_multiplexer_with_the_same_socket_twice_is_not_made', async (t) => {
  const { client } = await connectedPair(t)
  refuses(t, () => new Multiplexer(client, client), [SocketError, 'EEXIST', /this Multiplexer already/])
  t.notThrows(() => new Multiplexer(client).close())
})

test.serial('a_foreign_descriptor_can_be_added_only_once', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const target = { fd: client.fd }
  multiplexer.add(target, 'r')
  refuses(t, () => multiplexer.add(target), [SocketError, 'EEXIST', /this Multiplexer already/])
  refuses(t, () => multiplexer.add({ fd: client.fd }), [SocketError, 'EEXIST', /^epoll_ctl EEXIST/])
  server.send('x')
  t.is((await multiplexer.wait(10_000))[0]?.target, target as never)
})

test.serial('a_closed_target_cannot_be_added_or_modified_and_its_removal_is_harmless', async (t) => {
  const { client } = await connectedPair(t)
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const target of [client, listener]) {
    target.close()
    refuses(t, () => multiplexer.add(target), [SocketClosedError, 'ERR_SOCKET_CLOSED', 'add: the target is closed'])
    refuses(t, () => multiplexer.modify(target), [
      SocketClosedError,
      'ERR_SOCKET_CLOSED',
      'modify: the target is closed',
    ])
    t.notThrows(() => multiplexer.remove(target))
    refuses(t, () => new Multiplexer(target), [SocketClosedError, 'ERR_SOCKET_CLOSED', 'add: the target is closed'])
  }
})

test.serial('a_target_that_was_not_added_cannot_be_modified_or_removed', async (t) => {
  const { client, server } = await connectedPair(t)
  const listener = testListener(t)
  const multiplexer = closeAtEnd(t, new Multiplexer(server))
  const elsewhere = closeAtEnd(t, new Multiplexer(client))
  const refusal: Refusal = [SocketError, 'ENOENT', 'epoll_ctl ENOENT: the target is not in this Multiplexer']
  for (const target of [client, listener, { fd: server.fd }, { fd: 0 }]) {
    refuses(t, () => multiplexer.modify(target), refusal)
    refuses(t, () => multiplexer.remove(target), refusal)
  }
  t.is((await elsewhere.wait(10_000))[0]?.target, client)
  t.is((await multiplexer.wait(10_000))[0]?.target, server)
})

test.serial('an_invalid_target_is_a_type_error', (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  for (const [target, shown] of [
    [undefined, 'undefined'],
    [null, 'null'],
    [5, 'type number (5)'],
    ['socket', "type string ('socket')"],
    [{}, 'an instance of Object'],
    [{ fd: '3' }, 'an instance of Object'],
  ] as const) {
    const refusal: Refusal = [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "target" argument must be a Socket, a Listener or an object with a number fd. Received ${shown}`,
    ]
    refuses(t, () => multiplexer.add(wrong(target)), refusal)
    refuses(t, () => new Multiplexer(wrong(target)), refusal)
    if (typeof target === 'object' && target !== null) continue
    refuses(t, () => multiplexer.modify(wrong(target)), refusal)
    refuses(t, () => multiplexer.remove(wrong(target)), refusal)
  }
  for (const fd of [-1, 1.5, Number.NaN, 2 ** 31]) {
    refuses(t, () => multiplexer.add({ fd }), [
      RangeError,
      'ERR_OUT_OF_RANGE',
      new RegExp(`"target\\.fd" is out of range\\. It must be .*Received ${fd}`),
    ])
  }
})

/** A number that is not an open descriptor. One that was just closed could be in use again by another thread. */
const UNUSED_FD = 999_999

test.serial('a_descriptor_that_epoll_refuses_is_a_socket_error', (t) => {
  const multiplexer = closeAtEnd(t, new Multiplexer())
  const file = openSync(new URL(import.meta.url), 'r')
  refuses(t, () => multiplexer.add({ fd: file }), [SocketError, 'EPERM', 'epoll_ctl EPERM'])
  closeSync(file)
  refuses(t, () => multiplexer.add({ fd: UNUSED_FD }), [SocketError, 'EBADF', 'epoll_ctl EBADF'])
})

test.serial('an_adopted_descriptor_must_be_an_integer', (t) => {
  for (const adopt of [(fd: never) => Socket.adopt(fd), (fd: never) => Listener.bind({ fd })]) {
    for (const fd of [-1, 1.5, Number.NaN, 2 ** 31]) {
      refuses(t, () => adopt(wrong(fd)), [
        RangeError,
        'ERR_OUT_OF_RANGE',
        new RegExp(`"fd" is out of range\\. It must be .*Received ${fd}`),
      ])
    }
    refuses(t, () => adopt(wrong('3')), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      `The "fd" argument must be of type number. Received type string ('3')`,
    ])
    refuses(t, () => adopt(wrong(null)), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'The "fd" argument must be of type number. Received null',
    ])
  }
})

test.serial('a_descriptor_that_is_not_a_socket_is_ENOTSOCK', (t) => {
  const file = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(file))
  refuses(t, () => Socket.adopt(file), [SocketError, 'ENOTSOCK', /ENOTSOCK/])
  refuses(t, () => Listener.bind({ fd: file }), [SocketError, 'ENOTSOCK', /ENOTSOCK/])
})

// Settings

test.serial('an_invalid_setting_of_a_socket_is_refused_and_changes_nothing', async (t) => {
  const { client } = await connectedPair(t)
  for (const limit of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    refuses(t, () => (client.sendQueueLimit = limit), [
      RangeError,
      'ERR_OUT_OF_RANGE',
      new RegExp(`"sendQueueLimit" is out of range.*Received ${limit}`),
    ])
  }
  refuses(t, () => (client.sendQueueLimit = wrong('1')), [
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    /"sendQueueLimit".*number.*'1'/,
  ])
  t.is(client.sendQueueLimit, 65536)
  for (const blocking of [1, 'true', null, undefined]) {
    refuses(t, () => (client.blocking = wrong(blocking)), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      /"blocking" argument must be of type boolean\. Received/,
    ])
  }
  t.false(client.blocking)
  for (const how of ['', 'rw', 'Write', null, 1]) {
    refuses(t, () => client.shutdown(wrong(how)), [
      TypeError,
      'ERR_INVALID_ARG_VALUE',
      /'how' must be one of: 'read', 'write', 'both'\. Received/,
    ])
  }
  t.deepEqual([client.state, client.readEnded, client.writeEnded], ['open', false, false])
})

test.serial('toDuplex_takes_only_an_open_socket_or_connection', async (t) => {
  for (const value of [undefined, null, {}, 5]) {
    refuses(t, () => toDuplex(wrong(value)), [
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      /"source" argument must be a Socket or a Connection\. Received/,
    ])
  }
  const { client } = await connectedPair(t)
  client.close()
  refuses(t, () => toDuplex(client), [SocketClosedError, 'ERR_SOCKET_CLOSED', /closed/])
})

// After close

test.serial('a_closed_socket_throws_or_returns_a_neutral_value', async (t) => {
  const { client } = await connectedPair(t)
  client.close()
  const uses: Record<string, () => unknown> = {
    receive: () => client.receive(bytes),
    peek: () => client.peek(bytes),
    shutdown: () => client.shutdown(),
    blocking: () => (client.blocking = true),
    sendQueueLimit: () => client.sendQueueLimit,
    'sendQueueLimit ': () => (client.sendQueueLimit = 1),
    getOption: () => client.getOption('noDelay'),
    setOption: () => client.setOption('noDelay', true),
    getsockopt: () => client.getsockopt(1, 3),
    setsockopt: () => client.setsockopt(1, 9, 1),
    info: () => client.info(),
    infoInto: () => client.infoInto(new Float64Array(100)),
  }
  for (const [verb, use] of Object.entries(uses)) {
    refuses(t, use, [SocketClosedError, 'ERR_SOCKET_CLOSED', `${verb.trim()}: the socket is closed`], verb)
  }
  t.is(client.send('x'), 'closed')
  t.is(client.send([bytes]), 'closed')
  t.true(client.flush())
  t.deepEqual(
    [client.queued, client.fd, client.state, client.readEnded, client.writeEnded],
    [0, -1, 'closed', true, true],
  )
  t.deepEqual([client.localAddress, client.remoteAddress], [undefined, undefined])
  t.notThrows(() => {
    client.close()
    client.reset()
    client[Symbol.dispose]()
  })
})

test.serial('a_closed_listener_throws_or_returns_a_neutral_value', async (t) => {
  const listener = testListener(t)
  listener.close()
  refuses(t, () => listener.accept(), [SocketClosedError, 'ERR_SOCKET_CLOSED', 'accept: the listener is closed'])
  t.deepEqual([listener.fd, listener.address], [-1, undefined])
  t.notThrows(() => {
    listener.close()
    listener[Symbol.dispose]()
    listener.ref().unref()
  })
  for await (const socket of listener) t.fail(`${socket}`)
})

test.serial('a_closed_multiplexer_throws_or_does_nothing', async (t) => {
  const { client } = await connectedPair(t)
  const multiplexer = new Multiplexer(client)
  multiplexer.close()
  const refusal = (verb: string): Refusal => [
    SocketClosedError,
    'ERR_SOCKET_CLOSED',
    `${verb}: the Multiplexer is closed`,
  ]
  refuses(t, () => multiplexer.add(client), refusal('add'))
  refuses(t, () => multiplexer.modify(client), refusal('modify'))
  refuses(t, () => multiplexer.waitSync(0), refusal('waitSync'))
  refuses(t, () => multiplexer.poll(), refusal('waitSync'))
  await rejects(t, () => multiplexer.wait(0), refusal('wait'))
  t.notThrows(() => {
    multiplexer.remove(client)
    multiplexer.wake()
    multiplexer.ref().unref()
    multiplexer.close()
    multiplexer[Symbol.dispose]()
  })
  for await (const events of multiplexer) t.fail(`${events}`)
  t.notThrows(() => closeAtEnd(t, new Multiplexer(client)))
})

// Waiting twice

test.serial('a_second_wait_while_one_is_pending_is_an_invalid_state_and_the_first_continues', async (t) => {
  const { client, server } = await connectedPair(t)
  const multiplexer = closeAtEnd(t, new Multiplexer())
  multiplexer.add(client, 'r')
  const first: Promise<ReadyEvent[]> = multiplexer.wait()
  const refusal: Refusal = [Error, 'ERR_INVALID_STATE', /^Invalid state: .*wait.*pending/]
  await rejects(t, () => multiplexer.wait(), refusal)
  await rejects(t, () => multiplexer.wait(0), refusal)
  refuses(t, () => multiplexer.waitSync(0), refusal)
  refuses(t, () => multiplexer.poll(), refusal)
  server.send('x')
  const events = await first
  t.deepEqual(
    events.map(({ target }) => target),
    [client],
  )
  t.deepEqual(
    (await multiplexer.wait(10_000)).map(({ target }) => target),
    [client],
  )
})

test.serial('classes_with_a_factory_cannot_be_constructed', (t) => {
  for (const maker of [Socket, Listener, Server, Connection] as unknown[]) {
    t.throws(() => Reflect.construct(maker as new () => unknown, []), {
      instanceOf: TypeError,
      code: 'ERR_ILLEGAL_CONSTRUCTOR',
      message: /is made by/,
    })
  }
})

test.serial('a_refused_connect_closes_the_socket_and_throws_nothing', async (t) => {
  const listener = testListener(t)
  const to = addressOf(listener)
  listener.close()
  const socket = resetAtEnd(t, Socket.connect(to))
  t.is(await connectOutcome(socket), 'closed')
})
