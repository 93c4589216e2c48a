// Every code block of the pages is compiled and run, or its first line says why it is not:
//
//     ts                     run by docs.spec.ts or readme.spec.ts
//     ts file=PATH           the program PATH, which its own spec runs
//     console                on a page with such a program, whose spec compares what comes back
//     … checked by SPEC      read by that spec
//     … printed by the block above
//     … not run: REASON
//     text, mermaid          figures

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { type Block, ROOT, blocksOf, pages, textOf } from '../support/code-blocks.js'
import { errorsOf, programsOf } from '../support/compiled-blocks.js'

const FIGURES = ['text', 'mermaid']
const COMMANDS = ['sh', 'bash', 'console']

/** What is wrong with a block; undefined for one that is run, or that says why it is not. */
function faultOf({ language, info }: Block, hasProgram = false): string | undefined {
  const [, kind, rest] = /^(checked by|not run:|file=|printed by the block above$) ?(.*)$/.exec(info) ?? []
  if (language === '') return 'has no language'
  // CommonMark takes the line for text then, and all that follows for what it is not.
  if (info.includes('`')) return 'has a backtick in its first line'
  if (info === '') {
    const isRun = language === 'ts' || (language === 'console' && hasProgram)
    return isRun || FIGURES.includes(language) ? undefined : 'is not run, and does not say why'
  }
  if (kind === undefined) return `says "${info}", which has no meaning`
  if (kind === 'not run:') return rest!.split(' ').length > 2 ? undefined : 'gives no reason'
  if (kind !== 'checked by' && kind !== 'file=') return undefined
  return existsSync(join(ROOT, rest!)) ? undefined : `names a file that does not exist: ${rest}`
}

const sample = (language: string, info: string): Block => ({ language, info, code: '', line: 1 })

test('a_block_that_is_neither_run_nor_excused_is_found', (t) => {
  t.is(faultOf(sample('', '')), 'has no language')
  t.is(faultOf(sample('sh', 'not run: `make` takes hours')), 'has a backtick in its first line')
  t.is(faultOf(sample('js', '')), 'is not run, and does not say why')
  t.is(faultOf(sample('console', '')), 'is not run, and does not say why')
  t.is(faultOf(sample('sh', 'not run: because')), 'gives no reason')
  t.is(faultOf(sample('sh', 'later')), 'says "later", which has no meaning')
  t.regex(faultOf(sample('ts', 'file=examples/none.ts'))!, /does not exist/)
  t.is(faultOf(sample('ts', '')), undefined)
  t.is(faultOf(sample('console', ''), true), undefined)
  t.is(faultOf(sample('ts', 'file=examples/echo.ts')), undefined)
  t.is(faultOf(sample('sh', 'not run: it would never end')), undefined)
})

test('each_block_is_run_or_says_why_it_is_not', (t) => {
  const faults = pages().flatMap((page) => {
    const blocks = blocksOf(textOf(page))
    const hasProgram = blocks.some(({ info }) => info.startsWith('file='))
    return blocks.flatMap((block) => {
      const fault = faultOf(block, hasProgram)
      return fault === undefined ? [] : [`${page}:${block.line}: the block ${fault}`]
    })
  })
  t.deepEqual(faults, [])
})

test('a_spec_that_checks_a_block_reads_the_pages', (t) => {
  for (const page of pages()) {
    for (const { info } of blocksOf(textOf(page))) {
      const [, spec] = /^checked by (.*)$/.exec(info) ?? []
      if (spec !== undefined) t.regex(textOf(spec), /pages\(\)|textOf\(|readFile/, `${page}: ${spec}`)
    }
  }
})

test('commands_name_scripts_and_programs_that_exist', (t) => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }
  for (const page of pages()) {
    for (const { code, line } of blocksOf(textOf(page)).filter(({ language }) => COMMANDS.includes(language))) {
      for (const [, name] of code.matchAll(/^(?:\$ )?npm run ([\w:-]+)/gm))
        t.truthy(scripts[name!], `${page}:${line}: ${name}`)
      for (const [, path] of code.matchAll(/\b(examples\/[\w/-]+\.ts)\b/g))
        t.true(existsSync(join(ROOT, path!)), `${page}: ${path}`)
    }
  }
})

test('programs_compile_under_strict', (t) => {
  const planted = [
    { place: 'a.md:1', code: 'const count: number = `one`\n', isPart: false },
    { place: 'b.md:9', code: "import { listen } from 'm-socket'\n\nlisten({ prot: 80 })\n", isPart: true },
    { place: 'c.md:1', code: "import pg from 'pg'\nawait new pg.Client(url).connect()\n", isPart: true },
  ]
  const errors = errorsOf([...programsOf(pages()), ...planted])
  const found = errors.filter((error) => /^[ab]\.md/.test(error))
  t.is(found.length, 2, found.join('\n'))
  t.regex(found[0]!, /^a\.md:2: Type 'string' is not assignable to type 'number'/)
  t.regex(found[1]!, /^b\.md:12: /)
  t.deepEqual(errors.slice(0, -2), [])
})
