// Writes docs/suite.md from the records in docs/suite. `--check` only compares.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

import { page, records } from './suite/records.js'
import { ROOT } from './targets.js'

process.chdir(ROOT)

const FILE = 'docs/suite.md'
const text = page(records())

if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== text) {
  console.error(`${FILE} does not match the records in docs/suite: run npm run suite:table`)
  process.exitCode = 1
}
