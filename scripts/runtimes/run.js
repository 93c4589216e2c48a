// Runs one spec on Bun or Deno: `run.js <path of the spec>`. `ava` resolves to ava.js of this folder, and
// node:dns/promises in the library to dns.js.

import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { run } from './ava.js'
import { reasonToSkip } from './skips.js'

const runtime = process.versions.bun ? 'bun' : 'deno'
const spec = process.argv[2]

// Deno does this with an import map. In Bun, neither `paths` nor modules of a plugin can replace a built-in module.
if (runtime === 'bun') {
  const dns = JSON.stringify(fileURLToPath(new URL('dns.js', import.meta.url)))
  const contents = (path) => readFileSync(path, 'utf8').replace("'node:dns/promises'", dns)
  globalThis.Bun.plugin({
    name: 'dns',
    setup: (build) =>
      build.onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => ({ contents: contents(path), loader: 'js' })),
  })
}

await import(pathToFileURL(spec).href)
await run((title) => reasonToSkip(runtime, spec, title))
process.exit()
