import { fileURLToPath } from 'node:url'

import test from 'ava'

import { misused, misusedIn } from '../../scripts/prose.js'
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

test('the_repository_uses_none_of_the_words', (t) => {
  const uses = misusedIn(ROOT).map(({ path, line, found }) => `${path}:${line}: ${found.trim()}`)
  t.deepEqual(uses.slice(0, 20), [], `${uses.length} uses: npm run prose`)
})
