import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** All files below a folder that end so, as paths from the root. */
function files(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder)).flatMap((name) => {
    const path = `${folder}/${name}`
    if (statSync(join(ROOT, path)).isDirectory()) return files(path, ending)
    return path.endsWith(ending) ? [path] : []
  })
}

function lines(path: string): string[] {
  return readFileSync(join(ROOT, path), 'utf8').split('\n')
}

/** Where code, comments left out, says something, as path:line. */
function places(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    lines(path).flatMap((line, at) => (pattern.test(line.replace(/\/\/.*/, '')) ? [`${path}:${at + 1}`] : [])),
  )
}

const RUST = files('src', '.rs')
const outside = (...folders: string[]) =>
  RUST.filter((path) => !folders.some((folder) => path.startsWith(`src/${folder}/`)))

test('rust_is_found', (t) => {
  t.true(RUST.length > 20)
})

test('libc_stands_in_sys_alone', (t) => {
  t.deepEqual(places(outside('sys'), /\blibc::/), [])
})

test('libuv_stands_in_uv_alone', (t) => {
  t.deepEqual(places(outside('uv'), /\buv_\w+\(|c"uv_/), [])
})

test('node_api_stands_in_bindings_alone', (t) => {
  t.deepEqual(places(outside('bindings'), /\bnapi(_derive)?::/), [])
})

test('unsafe_stands_in_sys_uv_and_bindings_alone', (t) => {
  t.deepEqual(places(outside('sys', 'uv', 'bindings'), /\bunsafe\s*(\{|fn|impl|extern)/), [])
})

test('each_unsafe_block_stands_under_its_reason', (t) => {
  const unexplained = RUST.flatMap((path) => {
    const code = lines(path)
    return code.flatMap((line, at) => {
      if (!/\bunsafe \{/.test(line) || /^\s*\/\//.test(line)) return []
      const above = code.slice(Math.max(0, at - 8), at + 1).join('\n')
      return above.includes('SAFETY:') ? [] : [`${path}:${at + 1}`]
    })
  })
  t.deepEqual(unexplained, [])
})

for (const [folder, may] of [
  ['sys', ['sys']],
  ['core', ['core', 'sys']],
  ['uv', ['uv', 'sys']],
  ['thread', ['thread', 'sys']],
] as const) {
  test(`${folder}_knows_nothing_of_what_stands_above_it`, (t) => {
    const others = ['sys', 'core', 'uv', 'thread', 'bindings'].filter(
      (other) => !(may as readonly string[]).includes(other),
    )
    const own = RUST.filter((path) => path.startsWith(`src/${folder}/`))
    t.deepEqual(places(own, new RegExp(`\\bcrate::(${others.join('|')})\\b`)), [])
  })
}

test('lib_reaches_the_addon_through_the_generated_loader_alone', (t) => {
  t.deepEqual(places(files('lib', '.ts'), /\.node['"]|process\.dlopen|createRequire/), [])
})

test('the_published_package_has_no_runtime_dependencies', (t) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, object>
  t.is(manifest['dependencies'], undefined)
  t.deepEqual(Object.keys(manifest['peerDependencies']!), ['@types/node'])
  t.deepEqual(manifest['peerDependenciesMeta'], { '@types/node': { optional: true } })
})
