import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { ROOT, textOf } from '../support/code-blocks.js'
import { namesIn, shownCommands, shownPrograms } from '../support/pages.js'

/** Lines of a program that a recipe shows. */
const MOST_LINES = 60

const RECIPES = namesIn('docs/recipes', '.md').filter((name) => name !== 'README')
const GUIDE = ['docs/guide.md'].filter((page) => existsSync(join(ROOT, page)))
const PAGES = [...GUIDE, ...RECIPES.map((name) => `docs/recipes/${name}.md`)]
const SPECS = readdirSync(join(ROOT, '__test__'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.spec.ts'))
  .map((name) => textOf(`__test__/${name}`))

for (const page of PAGES) {
  test(`programs_of_a_page_are_the_files_that_their_blocks_name: ${page}`, (t) => {
    const programs = shownPrograms(textOf(page))
    t.true(programs.length > 0, 'the page shows no program: ```ts file=examples/…')
    for (const { file, code } of programs) t.is(code, textOf(file), file)
  })

  test(`programs_of_a_page_are_run_by_a_spec: ${page}`, (t) => {
    for (const { file } of shownPrograms(textOf(page))) {
      const name = file.slice('examples/'.length, -'.ts'.length)
      t.true(
        SPECS.some((spec) => spec.includes(`'${name}'`)),
        `no spec starts '${name}'`,
      )
    }
  })
}

for (const name of RECIPES) {
  test(`a_recipe_shows_its_program_and_what_comes_back: ${name}`, (t) => {
    const page = textOf(`docs/recipes/${name}.md`)
    t.is(shownPrograms(page)[0]?.file, `examples/recipes/${name}.ts`)
    t.true(
      shownCommands(page).some(({ output }) => output !== ''),
      'no `console` block with output',
    )
  })

  test(`a_recipe_is_in_the_index: ${name}`, (t) => {
    t.true(textOf('docs/recipes/README.md').includes(`](${name}.md)`))
  })
}

test('each_program_of_a_recipe_is_short_and_on_a_page', (t) => {
  const programs = namesIn('examples/recipes', '.ts').map((name) => `examples/recipes/${name}.ts`)
  t.deepEqual(
    programs.filter((file) => textOf(file).trimEnd().split('\n').length > MOST_LINES),
    [],
    `more than ${MOST_LINES} lines`,
  )
  const shown = RECIPES.flatMap((name) => shownPrograms(textOf(`docs/recipes/${name}.md`))).map(({ file }) => file)
  t.deepEqual(
    programs.filter((file) => !shown.includes(file)),
    [],
    'on no page',
  )
})

test('each_program_of_the_guide_is_shown_in_it', (t) => {
  const shown = GUIDE.flatMap((page) => shownPrograms(textOf(page))).map(({ file }) => file)
  t.deepEqual(
    namesIn('examples/guide', '.ts')
      .map((name) => `examples/guide/${name}.ts`)
      .filter((file) => !shown.includes(file)),
    [],
  )
})

test('a_program_and_a_command_are_found_in_a_page', (t) => {
  const markdown = '```ts file=examples/a.ts\nlet a\n```\n\n```ts\nlet b\n```\n\n```console\n$ a 1\none\n$ b\n```\n'
  t.deepEqual(shownPrograms(markdown), [{ file: 'examples/a.ts', code: 'let a\n' }])
  t.deepEqual(shownCommands(markdown), [
    { command: 'a 1', output: 'one' },
    { command: 'b', output: '' },
  ])
})
