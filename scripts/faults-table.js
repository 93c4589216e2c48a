// Writes docs/faults.md from the records in docs/faults. `--check` only compares.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

import { page, records } from './faults/records.js'
import { ROOT } from './targets.js'

process.chdir(ROOT)

const FILE = 'docs/faults.md'
const text = page(records())

if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== text) {
  console.error(`${FILE} does not match the records in docs/faults: run npm run faults:table`)
  process.exitCode = 1
}
