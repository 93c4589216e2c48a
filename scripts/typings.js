// Compiles __test__/typings as a user's TypeScript does, against the published declarations and with the library check on: what
// is right has to pass, and what stands under `@ts-expect-error` has to be refused.

import { spawnSync } from 'node:child_process'
import process from 'node:process'

import { ROOT } from './targets.js'

process.chdir(ROOT)

const { status, stdout } = spawnSync(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '-p', '__test__/typings', '--pretty', 'false'],
  { encoding: 'utf8' },
)
process.stdout.write(stdout)
console.log(status === 0 ? 'the typings hold' : 'FAILED  the typings')
process.exit(status ?? 1)
