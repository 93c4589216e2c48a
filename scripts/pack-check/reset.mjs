// What jest does between test files: every JavaScript module is evaluated again, in a context of its own, and the addon is
// required again. Needs --experimental-vm-modules.
import { readFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

import { echo } from './echo.mjs'

const ROUNDS = 8
const require = createRequire(import.meta.url)
const kept = []

for (let round = 0; round < ROUNDS; round += 1) {
  for (const path of Object.keys(require.cache)) delete require.cache[path]
  const copy = await fresh(import.meta.resolve('m-socket'))
  await echo(copy, copy)
  // Every second one stays in use, with its loop handle open, while the next is loaded.
  if (round % 2 === 0) kept.push(copy.listen({ port: 0, socket: { data: () => {} } }))
}
if (new Set(kept.map(({ constructor }) => constructor)).size !== ROUNDS / 2)
  throw new Error('a module was not evaluated again')
for (const server of kept) server.stop()

async function fresh(url) {
  const modules = new Map()
  const root = await load(url)
  await root.link((specifier, from) =>
    load(isBuiltin(specifier) ? specifier : new URL(specifier, from.identifier).href),
  )
  await root.evaluate()
  return root.namespace

  function load(id) {
    if (!modules.has(id)) modules.set(id, isBuiltin(id) ? builtin(id) : source(id))
    return modules.get(id)
  }
}

async function source(url) {
  return new vm.SourceTextModule(await readFile(fileURLToPath(url), 'utf8'), {
    identifier: url,
    initializeImportMeta: (meta) => void (meta.url = url),
  })
}

async function builtin(id) {
  const namespace = await import(id)
  const names = Object.keys(namespace)
  return new vm.SyntheticModule(names, function evaluate() {
    for (const name of names) this.setExport(name, namespace[name])
  })
}
