// examples/top.ts in a real terminal.

import { once } from 'node:events'
import { connect } from 'node:net'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { type Column, short, tableOf } from '../../examples/table.js'
import { ANYWHERE, interrupt, startServer } from '../support/example.js'
import { testWith } from '../support/programs.js'
import { TYPESCRIPT, fileArguments, sourceArguments } from '../support/runtime.js'
import { Terminal } from '../support/terminal.js'
import { until } from '../support/waiting.js'

const EXAMPLES = new URL('../../examples/', import.meta.url)
const ENTERED = '\x1b[?1049h'
const LEFT = '\x1b[?1049l'

interface Shown {
  readonly terminal: Terminal
  readonly port: number
}

/** Starts it in a terminal of 12 lines, and waits for its first picture. */
async function startTop(t: ExecutionContext, rows = 12, columns = 80): Promise<Shown> {
  const path = fileURLToPath(new URL('top.ts', EXAMPLES))
  const terminal = new Terminal(t, [process.execPath, ...fileArguments(path, ANYWHERE)], rows, columns)
  const [, head] = await terminal.until(([, line]) => line !== undefined)
  t.regex(head!, /^PEER +RTT ms +CWND +RETRANS +\*QUEUE +READ +WRITTEN$/)
  const port = Number(/Listening on 127\.0\.0\.1 port (\d+)/.exec(terminal.output)![1])
  return { terminal, port }
}

/** A connection that has sent and got back so many bytes. */
async function echoed(t: ExecutionContext, port: number, length: number): Promise<number> {
  const client = connect(port, '127.0.0.1')
  t.teardown(() => client.destroy())
  client.on('error', () => {})
  await once(client, 'connect')
  client.write(Buffer.alloc(length))
  let received = 0
  client.on('data', (chunk) => (received += chunk.length))
  await until(() => received === length)
  return client.localPort!
}

const peersOf = (screen: readonly string[]): string[] => screen.slice(2).map((line) => line.split(/ +/)[0]!)

/** Asserts that the terminal is as before: its modes, its cursor, and the screen that it had. */
async function left(t: ExecutionContext, terminal: Terminal, expected: number): Promise<void> {
  t.deepEqual(await terminal.ended(), { code: expected, restored: true })
  t.is(terminal.output.split(ENTERED).length, terminal.output.split(LEFT).length)
  t.true(terminal.output.lastIndexOf('\x1b[?25h') > terminal.output.lastIndexOf('\x1b[?25l'), 'the cursor is shown')
}

testWith(['python3'], 'top: connections_are_shown_sorted_by_the_column_that_keys_choose', async (t) => {
  const { terminal, port } = await startTop(t)
  const ports: number[] = []
  for (const length of [100, 5000, 30]) ports.push(await echoed(t, port, length))
  const [small, large, tiny] = ports.map((it) => `127.0.0.1:${it}`)
  const screen = await terminal.until((lines) => lines.length === 5)
  t.is(screen[0], `127.0.0.1:${port}: 3 open, 3 accepted, 0 failed, 5.0K in, 5.0K out`)
  t.regex(
    screen.find((line) => line.startsWith(large!))!,
    / +(\d+\.\d\d +\d+ +0|- +- +-) +0 +4\.9K +4\.9K$/,
  )
  terminal.press('>')
  t.deepEqual(peersOf(await terminal.until(([, head]) => head!.includes('*READ'))), [large, small, tiny])
  terminal.press('r')
  t.deepEqual(peersOf(await terminal.until((lines) => peersOf(lines)[0] === tiny)), [tiny, small, large])
  terminal.press('r\x1b[C')
  t.deepEqual(peersOf(await terminal.until(([, head]) => head!.includes('*WRITTEN'))), [large, small, tiny])
  terminal.press('>')
  t.deepEqual(
    peersOf(await terminal.until(([, head]) => head!.startsWith('*PEER'))),
    [small!, large!, tiny!].toSorted((a, b) => a.localeCompare(b)),
  )
  terminal.press('\x1b[D')
  await terminal.until(([, head]) => head!.includes('*WRITTEN'))
  terminal.press('x\x1b[A')
  terminal.press('q')
  await left(t, terminal, 0)
})

testWith(['python3'], 'top: the_picture_fits_a_terminal_that_changes_its_size', async (t) => {
  const { terminal, port } = await startTop(t)
  for (let index = 0; index < 8; index++) await echoed(t, port, 10)
  await terminal.until((lines) => lines.length === 10)
  terminal.resize(6, 40)
  const screen = await terminal.until((lines) => lines.length === 6)
  t.true(screen.every((line) => line.length <= 40))
  t.is(screen.at(-1), 'and 5 more')
  terminal.resize(1, 10)
  t.deepEqual(await terminal.until((lines) => lines.length === 1), [`127.0.0.1:`])
  terminal.resize(30, 120)
  await terminal.until((lines) => lines.length === 10)
  terminal.press('q')
  await left(t, terminal, 0)
})

testWith(['python3'], 'top: Ctrl_C_and_signals_restore_the_terminal', async (t) => {
  for (const stop of [
    (it: Terminal) => it.press('\x03'),
    (it: Terminal) => it.signal('SIGINT'),
    (it: Terminal) => it.signal('SIGTERM'),
  ]) {
    const { terminal, port } = await startTop(t)
    await echoed(t, port, 10)
    stop(terminal)
    await left(t, terminal, 0)
  }
})

testWith(['python3'], 'top: Ctrl_Z_stops_it_and_it_goes_on_when_it_is_continued', async (t) => {
  const { terminal } = await startTop(t)
  terminal.press('\x1a')
  await until(() => terminal.stops.length === 1)
  t.true(terminal.stops[0], 'the shell gets its terminal back')
  t.is(terminal.output.split(LEFT).length, 2)
  terminal.signal('SIGCONT')
  await until(() => terminal.output.split(ENTERED).length === 3)
  terminal.press('q')
  await left(t, terminal, 0)
})

testWith(['python3'], 'top: an_uncaught_exception_restores_the_terminal_before_it_is_printed', async (t) => {
  const source = `
    import { Screen } from '${new URL('screen.ts', EXAMPLES)}'
    new Screen(() => ['picture'], () => { throw new Error('of a key') })`
  const terminal = new Terminal(t, [process.execPath, ...sourceArguments(source, TYPESCRIPT)])
  await terminal.until(([line]) => line === 'picture')
  terminal.press('k')
  await left(t, terminal, 1)
  t.true(terminal.output.indexOf('Error: of a key') > terminal.output.indexOf(LEFT))
})

test('top: without_a_terminal_lines_are_printed', async (t) => {
  const example = await startServer(t, 'top')
  await echoed(t, example.port, 1000)
  const [chunk] = (await once(example.child.stdout!, 'data')) as [Buffer]
  const lines = chunk.toString().trimEnd().split('\n')
  t.is(lines.length, 2)
  t.regex(lines[0]!, /^PEER +RTT ms +CWND +RETRANS +\*QUEUE +READ +WRITTEN$/)
  t.regex(lines[1]!, /^127\.0\.0\.1:\d+ .* 1\.0K +1\.0K$/)
  t.false(chunk.includes('\x1b'))
  await interrupt(t, example)
})

test('a_table_is_sorted_and_aligned', (t) => {
  const columns: Column<{ name: string; size: number }>[] = [
    { title: 'NAME', width: 6, of: ({ name }) => name },
    { title: 'SIZE', width: 5, of: ({ size }) => size, show: short },
  ]
  const rows = [
    { name: 'b', size: 1536 },
    { name: 'c', size: NaN },
    { name: 'a', size: 10 },
  ]
  t.deepEqual(tableOf(rows, columns, { by: 1, isReversed: false }), [
    'NAME   *SIZE',
    'b       1.5K',
    'a         10',
    'c          -',
  ])
  t.deepEqual(
    tableOf(rows, columns, { by: 0, isReversed: true }).map((line) => line[0]),
    ['*', 'c', 'b', 'a'],
  )
})

test('numbers_are_shortened_to_three_digits', (t) => {
  const shown = [0, 999, 1000, 1023, 1024, 10_240, 1_000_000, 1_048_576, 1e9, 1e12, 1e15, 1e18]
  t.deepEqual(shown.map(short), [
    '0',
    '999',
    '1.0K',
    '1.0K',
    '1.0K',
    '10K',
    '977K',
    '1.0M',
    '954M',
    '931G',
    '909T',
    '888P',
  ])
})
