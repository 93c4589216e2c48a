import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { misused, misusedIn } from '../../scripts/prose.js'
import { hard } from '../../scripts/prose/sentences.js'
import { paragraphsOf, sentencesOf } from '../../scripts/prose/text.js'
import { EXCEPTIONS, WORDS } from '../../scripts/prose/words.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The words that are found in one line of a file. */
function found(path: string, line: string): string[] {
  return misused(path, line).map(({ word }) => word)
}

test('a_planted_word_is_found_with_its_place_and_what_to_say_instead', (t) => {
  const [use, ...more] = misused('lib/a.ts', 'export {}\n\n/** Listens anew. */\n')
  t.deepEqual([use?.path, use?.line, use?.found, use?.use, more], ['lib/a.ts', 3, 'anew', 'again', []])
})

test('a_word_is_found_as_a_part_of_a_name', (t) => {
  for (const name of ['told', 'TOLD', 'was_told', 'toldOnce', '#hasTold', 'told_again']) {
    t.deepEqual(found('lib/a.ts', `const x = ${name}`), ['told'], name)
  }
  for (const name of ['boolean', 'newspaper', 'stolid', 'forbidden', 'here', 'heart', 'readily']) {
    t.deepEqual(found('src/a.rs', `let x = ${name};`), [], name)
  }
})

test('a_subject_without_a_noun_is_found_and_a_question_or_a_clause_is_not', (t) => {
  for (const line of ['// Who reads slowly waits.', '| who waits |', 'for who asks', "test('who is closed is gone'"]) {
    t.deepEqual(found('lib/a.ts', line), ['who'], line)
  }
  for (const line of [
    '# Who is here?',
    'a peer, who has left',
    "line === '/who'",
    'people who write',
    '(who: string)',
  ]) {
    t.deepEqual(found('lib/a.ts', line), [], line)
  }
})

test('a_word_with_another_meaning_elsewhere_is_looked_for_where_it_has_none', (t) => {
  t.deepEqual(found('src/core/a.rs', 'source.settle(answer);'), ['settle'])
  t.deepEqual(found('lib/connection/a.ts', 'if (this.#settled) return'), [])
  t.deepEqual(found('docs/a.md', 'It resolves when the promise has settled.'), [])
  t.deepEqual(found('lib/loop/a.ts', 'this.#guests.add(source)'), ['guest'])
  t.deepEqual(found('examples/chat.ts', 'interface Guest {'), [])
  t.deepEqual(found('src/core/slab.rs', 'pub(crate) struct Slab<T> {'), [])
})

const words = (count: number): string => Array.from({ length: count }, (_, at) => `word${at}`).join(' ')

test('a_sentence_of_too_many_words_is_found_in_pages_and_comments', (t) => {
  t.deepEqual(
    hard('docs/a.md', `Short one.\n\nThe ${words(35)}.\n`).map(({ line, use }) => [line, use]),
    [[3, 'two sentences: 36 words']],
  )
  t.is(hard('docs/a.md', `${words(20)}. The ${words(20)}.\n`).length, 0)
  t.is(hard('docs/a.md', `* ${words(20)}\n* ${words(20)}\n`).length, 0)
  t.is(hard('docs/a.md', `\`\`\`text\n${words(50)}\n\`\`\`\n`).length, 0)
  t.is(hard('lib/a.ts', `/**\n * ${words(20)}\n * ${words(20)}.\n */\nconst a = 1 // ${words(40)}\n`).length, 2)
  t.is(hard('lib/a.ts', `const ${words(50)}\n`).length, 0)
})

test('semicolons_separate_entries_of_lists_and_cells_alone', (t) => {
  const halves = `${words(20)}; ${words(20)}`
  t.is(hard('docs/a.md', `${halves}.\n`).length, 1)
  t.is(hard('docs/a.md', `| ${halves} |\n`).length, 0)
  t.is(hard('docs/a.md', `Throws ${halves}.\n`).length, 0)
})

test('code_and_links_are_a_word_and_an_abbreviation_ends_no_sentence', (t) => {
  const [only] = paragraphsOf('docs/a.md', 'See `a.b. C d`, `e f`, `g h` of [the page](x.md), e.g. Node.\n').flatMap(
    sentencesOf,
  )
  t.is(only?.sentence, 'See `code` of the page, e.g. Node.')
  const [, second] = paragraphsOf('docs/a.md', 'It ends. qemu goes on.\n').flatMap(sentencesOf)
  t.is(second?.sentence, 'qemu goes on.')
})

test('a_passive_that_says_nothing_is_a_riddle', (t) => {
  for (const riddle of ['It is had.', 'What is wanted is given.', 'What was said was done.']) {
    t.deepEqual(
      hard('docs/a.md', `${riddle}\n`).map(({ word }) => word),
      ['riddle'],
      riddle,
    )
  }
  for (const plain of ['It is closed by the kernel.', 'What is queued is sent first.', 'They are closed.']) {
    t.deepEqual(hard('docs/a.md', `${plain}\n`), [], plain)
  }
})

test('an_exception_is_honoured_in_its_file_for_its_word_on_its_line', (t) => {
  const exceptions = [{ path: 'lib/a.ts', word: 'anew', line: /^old/, reason: 'a test' }]
  const look = (path: string, line: string) => misused(path, line, WORDS, exceptions).length
  t.is(look('lib/a.ts', 'old: anew'), 0)
  t.is(look('lib/a.ts', 'new: anew'), 1)
  t.is(look('lib/a.ts', 'old: nobody'), 1)
  t.is(look('lib/b.ts', 'old: anew'), 1)
})

test('each_exception_names_a_word_and_a_reason', (t) => {
  for (const { path, word, reason } of EXCEPTIONS) {
    t.true(
      WORDS.some((each) => each.word === word),
      `${path}: ${word}`,
    )
    t.true(reason.length > 0, path)
  }
})

test('a_misspelt_word_is_found_in_a_page_and_in_a_comment_and_not_in_code', (t) => {
  const spell = (name: string, input: string): string => {
    const program = `${ROOT}/node_modules/cspell/bin.mjs`
    const args = [program, 'lint', '--no-progress', '--no-summary', '--words-only', `stdin:///${ROOT}/${name}`]
    return spawnSync(process.execPath, args, { cwd: ROOT, input, encoding: 'utf8' }).stdout.trim()
  }
  t.is(spell('docs/a.md', 'A sokcet and a `sokcte`.\n\n```text\nskocet\n```\n'), 'sokcet')
  t.is(spell('lib/a.ts', 'const sokcte = 1 // A skocet.\n'), 'skocet')
})

test('the_repository_uses_none_of_the_words', (t) => {
  const uses = misusedIn(ROOT).map(({ path, line, found }) => `${path}:${line}: ${found.trim()}`)
  t.deepEqual(uses.slice(0, 20), [], `${uses.length} uses: npm run prose`)
})
