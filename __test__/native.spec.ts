import { readFileSync } from 'node:fs'

import test from 'ava'

import * as native from '../lib/native.js'
import { ROOT } from './support/code-blocks.js'

/**
 * A number of the Rust source: of a constant, or of a variant of an enum; within a module or an enum, if one is named.
 */
function rustNumber(file: string, name: string, scope?: string): number {
  const source = readFileSync(`${ROOT}/src/${file}`, 'utf8')
  const within = scope === undefined ? source : blockOf(source, scope)
  const found = new RegExp(`\\b${name}(?:: \\w+)? = ([^;,]+)[;,]`).exec(within)
  if (!found) throw new Error(`${name} is not in ${scope ?? file}`)
  return found[1] === 'i32::MIN' ? -(2 ** 31) : Number(found[1])
}

/** The block of a module or an enum, which ends with the first brace at the start of a line. */
function blockOf(source: string, scope: string): string {
  const start = source.search(new RegExp(`\\b(mod|enum) ${scope} \\{`))
  if (start < 0) throw new Error(`there is no ${scope}`)
  return source.slice(start, source.indexOf('\n}', start))
}

/** By file and scope of the Rust source: the numbers there, by the names there, and those of lib/native.ts. */
const NUMBERS: [file: string, scope: string | undefined, numbers: Record<string, number>][] = [
  ['core/interest.rs', 'interest_bits', { READ: native.READ, WRITE: native.WRITE, PREFETCH: native.PREFETCH }],
  [
    'core/interest.rs',
    'Mode',
    { Edge: native.EDGE, Level: at(native.MODES, 'level'), Oneshot: at(native.MODES, 'oneshot') },
  ],
  [
    'core/multiplexer.rs',
    'event_bits',
    {
      READABLE: native.READABLE,
      WRITABLE: native.WRITABLE,
      READ_ENDED: native.READ_ENDED,
      HANGUP: native.HANGUP,
      ERROR: native.ERROR,
      DETACHED: native.DETACHED,
      FILE: native.FILE,
      ACCEPTED: native.ACCEPTED,
      REFUSED: native.REFUSED,
    },
  ],
  ['sys/ancillary.rs', undefined, { MAX_DESCRIPTORS: native.MAX_DESCRIPTORS }],
  ['bindings/multiplexer.rs', undefined, { EVENT_SIZE: native.EVENT_INTS * Int32Array.BYTES_PER_ELEMENT }],
  [
    'core/socket/state.rs',
    'State',
    {
      Connecting: at(native.STATES, 'connecting'),
      Open: at(native.STATES, 'open'),
      Closed: at(native.STATES, 'closed'),
    },
  ],
  [
    'core/socket/state.rs',
    undefined,
    { CLOSING: at(native.STATES, 'closing'), FAILURE_CALL_SHIFT: native.FAILURE_CALL_SHIFT },
  ],
  [
    'core/socket/state.rs',
    'state_bits',
    {
      READ_ENDED: native.STATE_READ_ENDED,
      WRITE_ENDED: native.STATE_WRITE_ENDED,
      UNFINISHED: native.STATE_UNFINISHED,
    },
  ],
  [
    'core/socket/state.rs',
    'Call',
    {
      Read: at(native.FAILED_CALLS, 'read'),
      Write: at(native.FAILED_CALLS, 'write'),
      Connect: at(native.FAILED_CALLS, 'connect'),
    },
  ],
  [
    'core/open_failure.rs',
    'OpenCall',
    {
      EpollCreate: at(native.OPEN_CALLS, 'epoll_create1'),
      EpollCtl: at(native.OPEN_CALLS, 'epoll_ctl'),
      EventFd: at(native.OPEN_CALLS, 'eventfd'),
      CreateThread: at(native.OPEN_CALLS, 'pthread_create'),
      Libuv: at(native.OPEN_CALLS, 'uv_poll_init'),
      TimerCreate: at(native.OPEN_CALLS, 'timerfd_create'),
    },
  ],
  [
    'bindings/loop_status.rs',
    'words',
    {
      CALLING: native.CALLING,
      REFERENCED: native.REFERENCED,
      QUESTION: native.QUESTION,
      COUNT: native.LOOP_STATUS_BYTES / Int32Array.BYTES_PER_ELEMENT,
    },
  ],
  ['bindings/environment.rs', undefined, { BATCH_SIZE: native.BATCH_SIZE }],
  ['bindings/loop_status.rs', 'questions', { ASKED: native.QUESTION_ASKED, READY: native.QUESTION_READY, NONE: 0 }],
  ['bindings/transfer.rs', undefined, { END_FAILURE_SHIFT: native.END_FAILURE_SHIFT }],
  [
    'bindings/file.rs',
    'progress',
    {
      WANTS: native.FILE_WANTS,
      SENT: native.FILE_SENT,
      UNREADABLE: native.FILE_UNREADABLE,
      BROKEN: native.FILE_BROKEN,
      DROPPED: native.FILE_DROPPED,
    },
  ],
  ['bindings/state.rs', undefined, { NO_FAILURE: native.NO_FAILURE }],
  [
    'core/send_queue.rs',
    'SendStatus',
    {
      Sent: at(native.SEND_STATUSES, 'sent'),
      PartiallySent: at(native.SEND_STATUSES, 'partially-sent'),
      Queued: at(native.SEND_STATUSES, 'queued'),
      NotSent: native.NOT_SENT,
      Closed: native.SEND_CLOSED,
    },
  ],
  ['core/send_queue.rs', undefined, { DEFAULT_LIMIT: native.DEFAULT_SEND_QUEUE_LIMIT }],
  [
    'core/registry/mod.rs',
    'CloseResult',
    { Closed: native.CLOSED_NOW, AfterQueue: native.CLOSED_AFTER_QUEUE, Unregistered: native.CLOSED_UNREGISTERED },
  ],
  ['sys/socket.rs', 'Family', { Unix: native.UNIX, Ipv4: native.IPV4, Ipv6: native.IPV6 }],
  [
    'sys/socket.rs',
    'Shutdown',
    { Read: at(native.HALVES, 'read'), Write: at(native.HALVES, 'write'), Both: at(native.HALVES, 'both') },
  ],
  ['bindings/bytes.rs', undefined, { NOT_BYTES: native.NOT_BYTES }],
  [
    'core/receive_buffer.rs',
    undefined,
    { PREFETCH_LIMIT: native.PREFETCH_LIMIT, ALIGNMENT: native.PREFETCH_ALIGNMENT },
  ],
  ['core/handle.rs', undefined, { GENERATION_BITS: native.GENERATION_BITS }],
]

for (const [file, scope, numbers] of NUMBERS) {
  test(`the_numbers_of_the_seam_are_those_of_${file}${scope === undefined ? '' : ` (${scope})`}`, (t) => {
    const rust = Object.fromEntries(Object.keys(numbers).map((name) => [name, rustNumber(file, name, scope)]))
    t.deepEqual(numbers, rust)
  })
}

test('combined_bits_are_made_of_single_ones', (t) => {
  t.is(native.READ_WRITE, native.READ | native.WRITE)
  t.is(native.NONE, 0)
  t.deepEqual(
    Array.from({ length: native.STATES.length }, (_, state) => state & native.STATE_MASK),
    [0, 1, 2, 3],
  )
})

test('a_number_that_is_not_in_the_source_is_an_error', (t) => {
  t.throws(() => rustNumber('core/interest.rs', 'ABSENT'), { message: /ABSENT/ })
  t.throws(() => rustNumber('core/interest.rs', 'READ', 'absent'), { message: /absent/ })
})

function at<T extends string>(names: readonly T[], name: T): number {
  return names.indexOf(name)
}
