import test from 'ava'

import { callOf } from '../../scripts/faults/calls.js'
import { choice, faultsOf, injection, positions, title } from '../../scripts/faults/plan.js'
import { page } from '../../scripts/faults/records.js'
import { verdict } from '../../scripts/faults/verdict.js'

/** Node's own epoll descriptor is 3, the library's 17. */
const TRACE = {
  nodes: [3],
  lines: [
    'epoll_ctl(3, EPOLL_CTL_MOD, 20, {events=EPOLLIN, data={u32=20, u64=20}}) = 0',
    'epoll_ctl(3, EPOLL_CTL_ADD, 17, {events=EPOLLIN, data={u32=17, u64=17}}) = 0',
    'epoll_ctl(3, EPOLL_CTL_ADD, 17, {events=EPOLLIN, data={u32=17, u64=17}}) = -1 EEXIST (File exists)',
    'epoll_ctl(17, EPOLL_CTL_ADD, 21, {events=EPOLLIN, data={u32=0, u64=0}}) = 0',
    'sendto(21, "x", 1, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0) = 1',
    'epoll_wait(17, [], 1000, 0) = 0',
    'epoll_pwait(3, [], 1024, 0, NULL, 8) = 0',
    'sendto(21, "x", 1, MSG_DONTWAIT|MSG_NOSIGNAL, NULL, 0) = 1',
    '+++ exited with 0 +++',
  ],
}

const PLACE = { scenario: 'connect', level: 'handlers', transport: 'tcp' }
const SEND = { ...PLACE, call: 'sendto', errno: 'EPIPE', which: 'first', at: 1, lasting: false, warm: false }

const SIDE = {
  id: 1,
  opened: 1,
  closed: 1,
  late: [] as string[],
  errors: [] as object[],
  closeError: undefined as object | undefined,
  accepted: 300_000,
  ended: true,
  received: 30_000,
  isRight: true,
}
const ERROR = {
  way: 'error',
  name: 'SocketError',
  code: 'EPIPE',
  syscall: 'write',
  message: 'write EPIPE',
  isTyped: true,
}

/** A run in which everything was as it has to be. */
function run(side: Partial<typeof SIDE> = {}, more: object = {}, result: object = {}): Parameters<typeof verdict>[1] {
  return {
    code: 0,
    signal: null,
    isLate: false,
    stderr: '',
    nodes: [3],
    lines: ['sendto(21, "x", 1, 0, NULL, 0) = -1 EPIPE (Broken pipe) (INJECTED)'],
    peers: [{ seed: 1, received: 300_000, isRight: true, ended: true, error: undefined }],
    result: {
      outcome: 'done',
      window: { wall: 50, cpu: 10 },
      left: [] as string[],
      sides: [{ ...SIDE, ...side }],
      errors: [] as object[],
      ...result,
    },
    ...more,
  } as Parameters<typeof verdict>[1]
}

test('calls_of_Node_itself_are_not_made_to_fail', (t) => {
  t.deepEqual(positions(TRACE), {
    'epoll_ctl ADD (Node)': [2],
    'epoll_ctl ADD': [4],
    sendto: [1, 2],
    epoll_wait: [1],
  })
  t.is(callOf(TRACE.lines[0]!, new Set([3])), undefined)
})

test('each_errno_is_tried_at_the_first_and_at_later_calls_and_for_good', (t) => {
  const faults = faultsOf(PLACE, TRACE, TRACE)
  const sends = faults.filter(({ call, errno }) => call === 'sendto' && errno === 'ENOMEM')
  t.deepEqual(sends.map(injection), [
    'sendto:error=ENOMEM:when=1',
    'sendto:error=ENOMEM:when=2',
    'sendto:error=ENOMEM:when=1+',
    'sendto:error=ENOMEM:when=2+',
  ])
  t.is(title(sends[0]!), 'connect (tcp): sendto ENOMEM, the first call')
  // All operations of epoll_ctl(2) are counted together, those of Node are left out.
  const lasting = faults.filter(({ call, lasting: lasts }) => call === 'epoll_ctl' && lasts)
  t.deepEqual([...new Set(lasting.map(({ at }) => at))], [4])
})

test('changes_of_a_registration_fail_for_good_by_themselves_too', (t) => {
  const change = 'epoll_ctl(17, EPOLL_CTL_MOD, 21, {events=EPOLLIN|EPOLLOUT, data={u32=0, u64=0}}) = 0'
  const faults = faultsOf(PLACE, TRACE, { ...TRACE, lines: [...TRACE.lines, change] })
  const lasting = faults.filter(({ call, lasting: lasts }) => call === 'epoll_ctl MOD' && lasts)
  t.deepEqual(lasting.map(injection), ['epoll_ctl:error=ENOMEM:when=5+', 'epoll_ctl:error=EPERM:when=5+'])
})

test('a_choice_has_each_errno_of_each_call_at_each_level', (t) => {
  const faults = [
    ...faultsOf(PLACE, TRACE, TRACE),
    ...faultsOf({ ...PLACE, transport: 'unix' }, TRACE, TRACE),
    ...faultsOf({ ...PLACE, level: 'model' }, TRACE, TRACE),
  ]
  const kinds = (list: typeof faults): string[] =>
    [...new Set(list.map(({ level, call, errno, lasting }) => [level, call, errno, lasting].join(' ')))].sort()
  const chosen = choice(faults)
  t.deepEqual(kinds(chosen), kinds(faults))
  t.is(chosen.length, kinds(faults).length)
})

test('a_fault_that_is_survived_or_reported_passes', (t) => {
  t.deepEqual(verdict(SEND, run()), { problems: [], outcome: 'goes on' })
  const peers = [{ seed: 1, received: 400, isRight: true }]
  const reported = run({ accepted: 1000, errors: [ERROR], closeError: { ...ERROR, isReported: true } }, { peers })
  t.deepEqual(verdict(SEND, reported), { problems: [], outcome: 'error' })
  const later = run({}, {}, { outcome: 'lifted' })
  t.deepEqual(verdict({ ...SEND, lasting: true }, later), { problems: [], outcome: 'later' })
})

const WRONG: readonly (readonly [string, Parameters<typeof verdict>[1], RegExp])[] = [
  ['crashes', run({}, { signal: 'SIGABRT', code: null }), /killed by SIGABRT/],
  ['never ends', run({ closed: 0 }, {}, { outcome: 'hung' }), /never ended/],
  ['stands still', run({}, { isLate: true, signal: 'SIGKILL' }), /stood still/],
  ['spins', run({}, {}, { window: { wall: 900, cpu: 800 } }), /spins/],
  ['leaves a descriptor open', run({}, {}, { left: ['1 of socket'] }), /leaves open 1 of socket/],
  ['reports nothing', run({ accepted: 1000 }), /ended after 1000 bytes, without an error/],
  ['loses bytes', run({}, { peers: [{ seed: 1, received: 5, isRight: true }] }), /lost 299995 bytes of 300000/],
  ['receives too little', run({ received: 7 }), /received 7 of 30000 bytes/],
  ['receives other bytes', run({ isRight: false }), /other bytes/],
  ['reports twice', run({ errors: [ERROR, ERROR] }), /2 errors/],
  ['reports an untyped error', run({ errors: [{ ...ERROR, isTyped: false }] }), /untyped error/],
  ['never closes', run({ closed: 0 }), /opened and never closed/],
  ['closes twice', run({ closed: 2 }), /closed 2 times/],
  ['goes on after the close', run({ late: ['data'] }), /data behind the close/],
  ['throws in the loop', run({}, {}, { errors: [{ ...ERROR, way: 'uncaught' }] }), /uncaught although it has an owner/],
]

for (const [what, made, problem] of WRONG) {
  test(`a_program_that_fails_is_found: it ${what}`, (t) => {
    t.regex(verdict(SEND, made).problems.join('\n'), problem)
  })
}

test('a_run_in_which_the_call_was_not_made_says_nothing', (t) => {
  t.is(verdict(SEND, run({}, { lines: [] })).outcome, undefined)
  // libuv aborts when a call of its own fails.
  const lines = ['epoll_ctl(3, EPOLL_CTL_MOD, 17, {events=EPOLLIN, data={u32=17, u64=17}}) = -1 EIO (INJECTED)']
  const aborted = run({}, { lines, signal: 'SIGABRT', code: null })
  t.deepEqual(verdict({ ...SEND, call: 'epoll_ctl MOD' }, aborted), { problems: [], outcome: undefined })
})

test('the_page_has_a_row_for_errnos_with_the_same_outcomes', (t) => {
  const outcomes = {
    sendto: {
      once: {
        EINTR: { model: ['goes on'], handlers: ['goes on'], streams: ['goes on'] },
        EPIPE: { model: ['thrown'], handlers: ['error'] },
        ECONNRESET: { model: ['thrown'], handlers: ['error'] },
      },
      lasting: { ENOMEM: { streams: ['later', 'error'] } },
    },
    'epoll_ctl ADD (Node)': { once: { ENOSPC: { model: ['thrown'] } } },
  }
  const record = {
    runtime: 'Node 24.1.0',
    on: 'Linux 6.1',
    commit: 'abc1234',
    date: '2026-01-31',
    faults: 5,
    failed: 0,
    outcomes,
  }
  t.deepEqual(
    page([record])
      .split('\n')
      .filter((line) => line.startsWith('| `')),
    [
      '| `sendto` | EINTR | goes on | goes on | goes on |  |  |',
      '| `sendto` | EPIPE, ECONNRESET | thrown | error |  |  |  |',
      '| `sendto` | ENOMEM, lasting |  |  | later, error |  |  |',
      "| `epoll_ctl ADD by Node's loop` | ENOSPC | thrown |  |  |  |  |",
    ],
  )
  t.true(page([]).includes('No run has been recorded yet.'))
})
