import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import test from 'ava'
import * as library from 'm-socket'

import { ROOT, codeBlocks, expectedOutput, startBlock, textOf } from '../support/code-blocks.js'
import { outcomeOf } from '../support/child.js'
import { lackingCookie, testUnless } from '../support/emulation.js'

const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

for (const page of PAGES.filter((name) => name !== 'README.md')) {
  for (const [index, code] of codeBlocks(textOf(page), 'ts').entries()) {
    testUnless(
      code.includes('SO_COOKIE') ? lackingCookie : undefined,
      `what_a_page_shows_runs_and_prints_what_it_says: ${page} ${index + 1}`,
      async (t) => {
        const { code: status, stdout, stderr } = await outcomeOf(await startBlock(t, code))
        t.is(status, 0, stderr)
        const printed = stdout.split('\n')
        for (const line of expectedOutput(code))
          t.true(
            printed.some((it) => says(line, it)),
            `${line}: not in ${stdout}`,
          )
      },
      test.serial,
    )
  }
}

/** A comment is the line that is printed, with `…` for what differs, and perhaps an explanation of it. */
function says(comment: string, printed: string): boolean {
  const pattern = comment
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return (
    new RegExp(`^${pattern}$`).test(printed) ||
    (printed !== '' && [': ', ', '].some((mark) => comment.startsWith(printed + mark)))
  )
}

test('links_between_pages_lead_somewhere', (t) => {
  const lost = PAGES.flatMap((page) =>
    linksOf(page)
      .filter((link) => !leadsSomewhere(page, link))
      .map((link) => `${page}: ${link}`),
  )
  t.deepEqual(lost, [])
})

test('each_option_and_each_field_of_tcp_info_has_its_line', (t) => {
  const text = textOf('docs/options.md')
  for (const name of [...library.OPTION_NAMES, ...library.TCP_INFO_FIELDS]) t.true(text.includes(`\`${name}\``), name)
})

test('each_code_of_an_error_is_explained', (t) => {
  const sources = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  const codes = new Set(sources.flatMap((name) => textOf(`lib/${name}`).match(/\bERR_\w+/g) ?? []))
  const text = textOf('docs/errors.md')
  for (const code of [...codes, 'SocketError', 'SocketClosedError', 'SocketQueueError'])
    t.true(text.includes(code), code)
})

test('each_handler_and_each_member_that_bun_has_is_in_the_table', (t) => {
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

test('each_value_that_the_package_exports_has_a_page', (t) => {
  const text = PAGES.map(textOf).join('')
  for (const name of Object.keys(library)) t.true(text.includes(name), name)
})

function linksOf(page: string): string[] {
  return [...textOf(page).matchAll(/\]\(([^)]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !link.startsWith('https://'))
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#') as [string?, string?]
  const target = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(ROOT, target))) return false
  return anchor === undefined || anchorsOf(target).includes(anchor)
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): string[] {
  return [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}
