import test from 'ava'

import { page } from '../../scripts/suite/records.js'
import { Tally } from '../../scripts/suite/tally.js'

const RUN = {
  runtime: 'Node 24.1.0',
  architecture: 'x64',
  libc: 'glibc',
  on: 'Linux 6.1',
  commit: 'abc1234',
  date: '2026-01-31',
  passed: 3,
  failed: [],
  skipped: [],
}

/** The rows of the page's table, without its head. */
function rows(text: string): string[] {
  return text.split('\n').filter((line) => /^\| (Node|Bun|Deno) /.test(line))
}

test('TAP_lines_are_counted_with_skip_reasons_and_failure_details', (t) => {
  const tally = new Tally()
  for (const line of [
    'TAP version 13',
    'ok 1 - a › passes',
    'not ok 2 - a › fails',
    '  ---',
    '  message: why',
    'ok 3 - a › passes_too',
    '    # a log line',
    'ok 4 - a › waits # SKIP for Deno',
    'ok 5 - a › segments (emulated: TCP_INFO) # SKIP',
    'ok 6 - a › later # skip',
    '1..6',
  ]) {
    tally.read(line)
  }
  t.is(tally.passed, 2)
  t.is(tally.count, 6)
  t.deepEqual(tally.failed, [{ name: 'a › fails', details: ['  ---', '  message: why'] }])
  t.deepEqual(tally.skipped, [
    { name: 'a › waits', reason: 'for Deno' },
    { name: 'a › segments', reason: 'emulated: TCP_INFO' },
    { name: 'a › later', reason: 'no reason given' },
  ])
})

test('tallies_of_several_files_add_up', (t) => {
  const [one, two] = [new Tally(), new Tally()]
  one.read('ok 1 - a')
  two.read('not ok 1 - b', 'x.spec.ts: ')
  two.read('ok 2 - c # SKIP', 'x.spec.ts: ')
  one.add(two)
  t.deepEqual(
    [one.passed, one.failed.map(({ name }) => name), one.skipped.map(({ name }) => name)],
    [1, ['x.spec.ts: b'], ['x.spec.ts: c']],
  )
})

test('the_table_has_a_row_for_each_run_in_a_fixed_order', (t) => {
  const runs = [
    { ...RUN, runtime: 'Deno 2.0.0' },
    { ...RUN, architecture: 'arm64' },
    { ...RUN, runtime: 'Bun 1.0.0' },
    { ...RUN, libc: 'musl' },
    RUN,
    { ...RUN, runtime: 'Node 20.0.0' },
  ]
  const expected = [
    'Node 20.0.0 | x64 | glibc',
    'Node 24.1.0 | x64 | glibc',
    'Node 24.1.0 | x64 | musl',
    'Node 24.1.0 | arm64 | glibc',
    'Bun 1.0.0 | x64 | glibc',
    'Deno 2.0.0 | x64 | glibc',
  ]
  for (const order of [runs, [...runs].reverse()]) {
    t.deepEqual(
      rows(page(order)),
      expected.map((start) => `| ${start} | Linux 6.1 | 3 | 0 | 0 | abc1234 | 2026-01-31 |`),
    )
  }
})

test('a_page_without_records_says_that_no_run_was_recorded', (t) => {
  const text = page([])
  t.true(text.endsWith('\n\nNo run has been recorded yet.\n'), text)
  t.deepEqual(rows(text), [])
})

test('the_skip_reason_is_taken_from_the_title_when_SKIP_has_none', (t) => {
  const tally = new Tally()
  tally.read('ok 1 - a (needs nc, which is not usable) # SKIP ', 'x › ')
  t.deepEqual(tally.skipped, [{ name: 'x › a', reason: 'needs nc, which is not usable' }])
})

test('failed_and_skipped_tests_are_listed', (t) => {
  const skipped = [
    { name: 'a › one', reason: 'no TLS' },
    { name: 'b › two', reason: 'no descriptors' },
    { name: 'c › three', reason: 'no TLS' },
  ]
  const text = page([{ ...RUN, failed: ['d › four'], skipped }])
  t.deepEqual(rows(text), ['| Node 24.1.0 | x64 | glibc | Linux 6.1 | 3 | 1 | 3 | abc1234 | 2026-01-31 |'])
  t.true(
    text.endsWith(`
## Node 24.1.0, x64, glibc

Failed

- \`d › four\`

Skipped, 2: no TLS

- \`a › one\`
- \`c › three\`

Skipped, 1: no descriptors

- \`b › two\`
`),
  )
  t.false(page([RUN]).includes('##'))
})
