import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { mutants, mutated, parsed } from '../../scripts/simulate/mutants.js'
import { ROOT } from '../support/code-blocks.js'

const MUTANT = 'The count stays.\n\nsrc/core/a.rs\n     fn add(&mut self) {\n-        self.count += 1;\n     }\n'
const SOURCE = '    fn add(&mut self) {\n        self.count += 1;\n    }\n'

test('there_are_faults_for_the_simulation_to_find', (t) => {
  t.true(mutants().length >= 20)
})

for (const mutant of mutants()) {
  test(`a_fault_fits_the_source_that_it_changes: ${mutant.name}`, (t) => {
    const source = readFileSync(join(ROOT, mutant.path), 'utf8')
    const faulty = mutated(source, mutant)
    t.truthy(faulty, `the text that it changes does not stand exactly once in ${mutant.path}`)
    t.not(faulty, source)
    t.regex(mutant.description, /^[A-Z`a-z].*\.$/)
  })
}

test('a_fault_takes_the_place_of_the_text_that_it_changes', (t) => {
  const mutant = parsed('a', MUTANT)
  t.is(mutant.description, 'The count stays.')
  t.is(mutant.path, 'src/core/a.rs')
  t.is(mutated(SOURCE, mutant), '    fn add(&mut self) {\n    }\n')
  t.is(mutated(`//\n${SOURCE}//\n`, mutant), '//\n    fn add(&mut self) {\n    }\n//\n')
})

test('a_fault_does_not_fit_where_the_text_stands_twice_or_not_or_begins_within_a_line', (t) => {
  const mutant = parsed('a', MUTANT)
  t.is(mutated(SOURCE + SOURCE, mutant), undefined)
  t.is(mutated('', mutant), undefined)
  t.is(mutated(`//${SOURCE}`, mutant), undefined)
})

test('a_malformed_fault_is_refused', (t) => {
  for (const text of ['', 'A.\nsrc/core/a.rs\n-a\n', 'A.\n\nsrc/sys/a.rs\n-a\n', 'A.\n\nsrc/core/a.rs\na\n'])
    t.throws(() => parsed('a', text), { message: /malformed/ })
})
