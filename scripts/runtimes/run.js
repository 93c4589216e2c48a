// Runs one spec under Bun or Deno: `run.js <path of the spec>`. There `ava` means ava.js of this folder, and what the library
// imports as node:dns/promises is dns.js.

import { readFileSync } from 'node:fs'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

import { run } from './ava.js'
import { reasonToSkip } from './skips.js'

const runtime = process.versions.bun ? 'bun' : 'deno'
const spec = process.argv[2]

// Deno has its import map for that; neither Bun's paths nor its modules replace a module of Node.
if (runtime === 'bun') {
  const dns = JSON.stringify(new URL('dns.js', import.meta.url).pathname)
  const contents = (path) => readFileSync(path, 'utf8').replace("'node:dns/promises'", dns)
  globalThis.Bun.plugin({
    name: 'dns',
    setup: (build) =>
      build.onLoad({ filter: /\/dist\/\w+\.js$/ }, ({ path }) => ({ contents: contents(path), loader: 'js' })),
  })
}

await import(pathToFileURL(spec).href)
await run((title) => reasonToSkip(runtime, spec, title))
process.exit()
