// Runs the tests on the packed binary and needs no Rust. Arguments are passed to ava.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync } from 'node:fs'
import process from 'node:process'

import { here, ROOT } from './targets.js'

process.chdir(ROOT)

if (!existsSync(here.path)) {
  console.log(`${here.path} is missing: npm run build:all`)
  process.exit(1)
}
copyFileSync(here.path, `${here.file}`) // the loader prefers this file to an installed package
node('node_modules/typescript/bin/tsc')
node('node_modules/ava/entrypoints/cli.mjs', ...process.argv.slice(2))

function node(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
