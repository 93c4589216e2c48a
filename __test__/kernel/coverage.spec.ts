import { readFileSync, readdirSync } from 'node:fs'

import test from 'ava'

/** The kernel truths without a test here, and why. */
const EXEMPT = new Map([
  [16, 'a listener that several waiting threads share is not part of the model'],
  [17, 'a restart that hands a listener over is not part of the model'],
  [29, 'TCP_USER_TIMEOUT is not part of the model'],
])

/** From this number on the truths are played by the scripts of simulation/src/conformance: `cargo test --test conformance`. */
const FIRST_OF_SCRIPTS = 47

/** The numbers that a pattern captures in a text. */
function numbersIn(text: string, pattern: RegExp): number[] {
  return [...text.matchAll(pattern)].map(([, number]) => Number(number))
}

test('each_kernel_truth_has_a_test_that_cites_its_number', (t) => {
  const folder = new URL('.', import.meta.url)
  const source = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('')
  const truths = numbersIn(readFileSync(new URL('../../docs/kernel.md', folder), 'utf8'), /^(\d+)\. /gm)
  const tested = new Set(numbersIn(source, /['`]truth (\d+): /g))
  t.true(truths.length > EXEMPT.size, 'docs/kernel.md lists the truths')
  t.deepEqual(
    truths.filter((number) => number < FIRST_OF_SCRIPTS && !tested.has(number) && !EXEMPT.has(number)),
    [],
    'truths without a test',
  )
})
