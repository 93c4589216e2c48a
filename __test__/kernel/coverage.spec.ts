import { readFileSync, readdirSync } from 'node:fs'

import test from 'ava'

/** Shared listeners, restarts that hand a listener over, TCP_USER_TIMEOUT and MSG_ZEROCOPY: not part of the model. */
const LATER = [16, 17, 29, 30]
const LAST = 41

test('each_kernel_truth_of_the_model_has_a_test_that_names_its_number', (t) => {
  const folder = new URL('.', import.meta.url)
  const source = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('')
  const named = new Set([...source.matchAll(/['`]truth (\d+): /g)].map(([, number]) => Number(number)))
  const expected = Array.from({ length: LAST }, (_, index) => index + 1).filter((number) => !LATER.includes(number))
  t.deepEqual(
    expected.filter((number) => !named.has(number)),
    [],
  )
})
