import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import test from 'ava'

import { missing, pagesOf } from '../../scripts/docs-coverage.js'
import { collect } from '../../scripts/docs-coverage/collect.js'
import { ROOT } from '../support/code-blocks.js'

test('the_pages_explain_all_that_the_sources_offer', (t) => {
  const items = collect(ROOT)
  const pages = pagesOf(ROOT)
  t.deepEqual(missing(items, pages), [])
  for (const [page, name] of [
    ['options.md', 'userTimeout'],
    ['Handlers.md', 'connectError'],
    ['net.md', 'connectionAttemptFailed'],
    ['observability.md', 'm-socket.connect.error'],
    ['errors.md', 'ERR_LISTEN_FDS'],
    ['observability.md', 'LISTEN_FDNAMES'],
  ] as const) {
    const without = { ...pages, [page]: pages[page]!.replaceAll(name, 'x') }
    t.true(
      missing(items, without).some((line) => line.includes(`${name} is missing in docs/${page}`)),
      name,
    )
  }
})

const SOURCES = {
  'lib/index.ts': `
    interface Base { readonly inherited?: number }
    export interface SendFileOptions extends Base {
      readonly start?: number
      /** @internal */
      readonly hidden?: number
    }
    export interface Unplaced { readonly size: number }
    export abstract class Source { abstract close(): void }
    export class Listener extends Source {
      #secret = 1
      private own = 2
      static bind(): void {}
      close(): void {}
    }
    export { emit } from './code.js'
  `,
  'lib/code.ts': `
    declare const process: { env: { [name: string]: string }; emitWarning(text: string, type: unknown): void }
    declare function channel(name: string): unknown
    declare const name: 'FIRST' | 'SECOND'
    /** Of a socket. */
    export function emit(socket: { emit(event: string): void }): void {
      socket.emit('drop')
      channel('m-socket.sample')
      process.emitWarning('text', 'SampleWarning')
      process.emitWarning('text', { type: 'ObjectWarning' })
      process.env[name] = 'ERR_SAMPLE'
      process.env.THIRD = ''
    }
  `,
}

test('names_are_found_in_types_classes_and_code', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'docs-coverage-'))
  t.teardown(() => rm(root, { recursive: true }))
  const options = { compilerOptions: { noLib: true, types: [], module: 'nodenext', target: 'es2022' } }
  for (const [path, text] of Object.entries({ ...SOURCES, 'tsconfig.json': JSON.stringify(options) })) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  const items = collect(root, ['lib/index.ts'], [])
  const titles = items.map(({ kind, owner, name }) => [kind, owner, name].filter((part) => part !== '').join(' '))
  t.deepEqual(titles.toSorted(), [
    'channel m-socket.sample',
    'code ERR_SAMPLE',
    'code ObjectWarning',
    'code SampleWarning',
    'event drop',
    'export Listener',
    'export emit',
    'member Listener bind',
    'member Listener close',
    'member SendFileOptions inherited',
    'member SendFileOptions start',
    'member Source close',
    'member Unplaced size',
    'variable FIRST',
    'variable SECOND',
    'variable THIRD',
  ])

  const lacking = missing(items, {
    'Socket.md': 'Takes `start`, `close()`; inherited is no code here.\n',
    'net.md': "`'drop'`",
  })
  t.true(lacking.some((line) => line.includes('SendFileOptions.inherited is missing in docs/Socket.md')))
  t.true(lacking.some((line) => line.includes('places.js names no page for Unplaced')))
  for (const explained of ['start', 'Source.close', 'drop']) {
    t.false(
      lacking.some((line) => line.includes(`${explained} is missing`)),
      explained,
    )
  }
})
