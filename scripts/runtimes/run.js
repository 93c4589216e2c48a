// Runs one spec under Bun or Deno: `run.js <path of the spec>`. There `ava` means ava.js of this folder.

import process from 'node:process'
import { pathToFileURL } from 'node:url'

import { run } from './ava.js'
import { reasonToSkip } from './skips.js'

const runtime = process.versions.bun ? 'bun' : 'deno'
const spec = process.argv[2]

await import(pathToFileURL(spec).href)
await run((title) => reasonToSkip(runtime, spec, title))
process.exit()
