import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import test from 'ava'
import * as library from 'm-socket'

import { outcomeOf } from '../support/child.js'
import { ROOT, blocksOf, codeBlocks, expectedOutput, pages, startBlock, textOf } from '../support/code-blocks.js'
import { lackingCookie, testUnless } from '../support/emulation.js'

const PAGES = pages()

for (const page of PAGES.filter((name) => name !== 'README.md')) {
  for (const [index, code] of codeBlocks(textOf(page), 'ts').entries()) {
    testUnless(
      code.includes('SO_COOKIE') ? lackingCookie : undefined,
      `an_example_runs_and_prints_what_its_comments_say: ${page} ${index + 1}`,
      async (t) => {
        const { code: status, stdout, stderr } = await outcomeOf(await startBlock(t, code))
        t.is(status, 0, stderr)
        const shown = outputBelow(page, code)
        if (shown !== undefined) t.is(stdout, shown)
        const printed = stdout.split('\n')
        for (const line of expectedOutput(code))
          t.true(
            printed.some((it) => describes(line, it)),
            `${line}: not in ${stdout}`,
          )
      },
      test.serial,
    )
  }
}

/** The block below one, where it says that it is what that prints. */
function outputBelow(page: string, code: string): string | undefined {
  const blocks = blocksOf(textOf(page))
  const below = blocks[blocks.findIndex((block) => block.code === code) + 1]
  return below?.info === 'printed by the block above' ? below.code : undefined
}

/** A comment is the printed line, with `…` for text that varies. An explanation may follow after `: ` or `, `. */
function describes(comment: string, printed: string): boolean {
  const pattern = comment
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return (
    new RegExp(`^${pattern}$`).test(printed) ||
    (printed !== '' && [': ', ', '].some((mark) => comment.startsWith(printed + mark)))
  )
}

test('links_between_pages_have_a_target', (t) => {
  const broken = PAGES.flatMap((page) =>
    linksOf(page)
      .filter((link) => !hasTarget(page, link))
      .map((link) => `${page}: ${link}`),
  )
  t.deepEqual(broken, [])
})

test('the_page_on_options_lists_each_option_and_each_field_of_tcp_info', (t) => {
  const text = textOf('docs/options.md')
  for (const name of [...library.OPTION_NAMES, ...library.TCP_INFO_FIELDS]) t.true(text.includes(`\`${name}\``), name)
})

test('the_page_on_net_has_each_program_of_the_consumers', (t) => {
  const programs = readdirSync(join(ROOT, '__test__/consumers/programs'))
    .filter((name) => name.endsWith('.js') && name !== 'plain-net.js')
    .map((name) => name.slice(0, -'.js'.length).replace(/^node-/, 'node:'))
  const table = textOf('docs/net.md').split('## With')[1]!
  const rows = [...table.matchAll(/^\| (\S+?),? /gm)].map(([, name]) => name!)
  t.deepEqual(rows.filter((name) => name !== 'package' && name !== '---').toSorted(), programs.toSorted())
})

test('the_page_on_migration_lists_each_handler_and_member_of_Bun', (t) => {
  const text = textOf('docs/coming-from.md')
  for (const name of [
    'open',
    'data',
    'drain',
    'end',
    'close',
    'error',
    'connectError',
    'timeout',
    'write',
    'shutdown',
    'terminate',
    'reload',
  ]) {
    t.regex(text, new RegExp(`\\b${name}\\b`))
  }
})

test('each_export_is_documented', (t) => {
  const text = PAGES.map(textOf).join('')
  for (const name of Object.keys(library)) t.true(text.includes(name), name)
})

function linksOf(page: string): string[] {
  return [...textOf(page).matchAll(/\]\(([^)]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !link.startsWith('https://'))
}

function hasTarget(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#') as [string?, string?]
  const target = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(ROOT, target))) return false
  return anchor === undefined || anchorsOf(target).includes(anchor)
}

/** The anchors that GitHub derives from headings. */
function anchorsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}
