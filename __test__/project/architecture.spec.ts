import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import {
  type Files,
  forbiddenImports,
  globalTimers,
  importCircle,
  importsOf,
  longFiles,
  matchingLines,
  unexplainedUnsafe,
} from './sources.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The contents of the files below a folder whose names end with `ending`. */
function read(folder: string, ending: string): Files {
  const contents = readdirSync(join(ROOT, folder)).map((name): Files => {
    const path = `${folder}/${name}`
    if (statSync(join(ROOT, path)).isDirectory()) return read(path, ending)
    return path.endsWith(ending) ? { [path]: readFileSync(join(ROOT, path), 'utf8') } : {}
  })
  return Object.assign({}, ...contents) as Files
}

/** The files whose paths pass. */
function only(files: Files, passes: (path: string) => boolean): Files {
  return Object.fromEntries(Object.entries(files).filter(([path]) => passes(path)))
}

const LIB = read('lib', '.ts')
const RUST = read('src', '.rs')
const MOST_LINES = 340

const outside = (...folders: string[]): Files =>
  only(RUST, (path) => !folders.some((folder) => path.startsWith(`src/${folder}/`)))

test('sources_are_found', (t) => {
  t.true(Object.keys(LIB).length > 20)
  t.true(Object.keys(RUST).length > 20)
})

// Rust

test('libc_is_used_in_sys_only', (t) => {
  t.deepEqual(matchingLines(outside('sys'), /\blibc::/), [])
})

test('libuv_is_used_in_uv_only', (t) => {
  t.deepEqual(matchingLines(outside('uv'), /\buv_/), [])
})

test('napi_is_used_in_bindings_only', (t) => {
  t.deepEqual(matchingLines(outside('bindings'), /\bnapi(_derive)?\b/), [])
})

test('unsafe_is_used_in_sys_uv_and_bindings_only', (t) => {
  t.deepEqual(matchingLines(outside('sys', 'uv', 'bindings'), /\bunsafe\s*(\{|fn|impl|extern)/), [])
})

test('each_unsafe_block_has_a_SAFETY_comment', (t) => {
  t.deepEqual(unexplainedUnsafe(RUST), [])
})

for (const [folder, may] of [
  ['sys', ['sys']],
  ['core', ['core', 'sys']],
  ['uv', ['uv', 'sys']],
  ['thread', ['thread', 'sys']],
] as const) {
  test(`${folder}_imports_nothing_above_it`, (t) => {
    const others = ['sys', 'core', 'uv', 'thread', 'bindings'].filter(
      (other) => !(may as readonly string[]).includes(other),
    )
    const own = only(RUST, (path) => path.startsWith(`src/${folder}/`))
    t.deepEqual(matchingLines(own, new RegExp(`\\bcrate::(${others.join('|')})\\b`)), [])
  })
}

// TypeScript

test('the_imports_of_lib_follow_the_order_of_its_folders', (t) => {
  t.deepEqual(forbiddenImports(LIB), [])
})

test('only_lib_native_imports_the_generated_loader', (t) => {
  t.deepEqual(
    importsOf(LIB).flatMap(({ from, to }) => (to === 'index.js' ? [from] : [])),
    ['lib/native.ts'],
  )
})

test('lib_loads_the_addon_through_the_generated_loader_only', (t) => {
  t.deepEqual(matchingLines(LIB, /\.node['"]|process\.dlopen/), [])
  // These load a module of lib/ or not, according to the platform.
  const others = only(LIB, (path) => !['lib/net/index.ts', 'lib/register.ts'].includes(path))
  t.deepEqual(matchingLines(others, /createRequire/), [])
})

test('timers_and_clocks_are_taken_from_lib_loop_timers_only', (t) => {
  const others = only(LIB, (path) => path !== 'lib/loop/timers.ts')
  t.deepEqual(
    importsOf(others).filter(({ to }) => /^(node:)?(timers|perf_hooks)\b/.test(to)),
    [],
  )
  t.deepEqual(globalTimers(others), [])
})

test('the_imports_of_lib_have_no_circle_at_run_time', (t) => {
  t.deepEqual(importCircle(LIB), [])
})

test('the_published_package_has_no_runtime_dependencies', (t) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, object>
  t.is(manifest['dependencies'], undefined)
  // Types alone, and optional.
  t.deepEqual(Object.keys(manifest['peerDependencies']!), ['@types/node'])
  t.deepEqual(manifest['peerDependenciesMeta'], { '@types/node': { optional: true } })
})

// Both

test('files_of_lib_src_and_simulation_have_at_most_340_lines', (t) => {
  t.deepEqual(longFiles({ ...LIB, ...RUST, ...read('simulation', '.rs') }, MOST_LINES), [])
})

// The checks themselves, on made-up files

test('the_checks_read_every_form_of_import', (t) => {
  const text = `
    import '../errors.js'
    import * as native from '../native.js'
    import { type Source } from './source.js'
    import type { Address } from './address.js'
    export { info } from '../options/tcp-info.js'
    export type { Event } from './event.js'
    export * from './leak.js'
    import fs = require('node:fs')
    // import './comment.js'
    const text = "import './string.js'"
    type Late = import('./late.js').Late
    await import('./lazy.js')`
  t.deepEqual(
    importsOf({ 'lib/model/socket.ts': text }).map(({ line, to, atRunTime }) => [line, to, atRunTime]),
    [
      [2, 'lib/errors.ts', true],
      [3, 'lib/native.ts', true],
      [4, 'lib/model/source.ts', true],
      [5, 'lib/model/address.ts', false],
      [6, 'lib/options/tcp-info.ts', true],
      [7, 'lib/model/event.ts', false],
      [8, 'lib/model/leak.ts', true],
      [9, 'node:fs', true],
      [12, 'lib/model/late.ts', false],
      [13, 'lib/model/lazy.ts', true],
    ],
  )
})

test('the_checks_allow_imports_in_the_order_of_the_folders', (t) => {
  const imports: Readonly<Record<string, readonly string[]>> = {
    'lib/native.ts': ['../index.js', './errors.js'],
    'lib/errors.ts': ['./native.js', './validate.js', 'node:util'],
    'lib/validate.ts': ['./native.js', './errors.js'],
    'lib/options/table.ts': ['./entry.js', '../native.js', '../errors.js', '../validate.js'],
    'lib/model/socket.ts': ['./source.js', '../loop/poller.js', '../options/index.js', '../native.js', '../errors.js'],
    'lib/loop/poller.ts': ['./timer.js', '../model/source.js', '../options/index.js', '../native.js'],
    'lib/connection/server.ts': ['./owner.js', '../model/listener.js', '../loop/poller.js', '../options/index.js'],
    'lib/streams/web.ts': ['./web-reader.js', '../connection/connection.js', '../model/socket.js', '../errors.js'],
    'lib/net/index.ts': ['./socket.js', '../connection/server.js', '../model/listener.js', '../validate.js'],
    'lib/index.ts': ['../loadable.js', './streams/web.js', './net/index.js', './model/socket.js', './errors.js'],
  }
  t.deepEqual(forbiddenImports(filesWith(imports)), [])
})

for (const [from, specifier, to] of [
  ['lib/model/socket.ts', '../../index.js', 'index.js'],
  ['lib/index.ts', '../index.js', 'index.js'],
  ['lib/errors.ts', 'm-socket/native', 'm-socket/native'],
  ['lib/model/socket.ts', '../../loadable.js', 'loadable.js'],
  ['lib/native.ts', './options/constants.js', 'lib/options/constants.ts'],
  ['lib/errors.ts', './model/address.js', 'lib/model/address.ts'],
  ['lib/validate.ts', './options/index.js', 'lib/options/index.ts'],
  ['lib/options/raw.ts', '../model/socket.js', 'lib/model/socket.ts'],
  ['lib/options/raw.ts', '../loop/poller.js', 'lib/loop/poller.ts'],
  ['lib/model/socket.ts', '../connection/connection.js', 'lib/connection/connection.ts'],
  ['lib/loop/poller.ts', '../connection/connection.js', 'lib/connection/connection.ts'],
  ['lib/connection/connection.ts', '../streams/duplex.js', 'lib/streams/duplex.ts'],
  ['lib/streams/web.ts', '../http/serve.js', 'lib/http/serve.ts'],
  ['lib/net/index.ts', '../streams/duplex.js', 'lib/streams/duplex.ts'],
  ['lib/streams/web.ts', '../index.js', 'lib/index.ts'],
  ['lib/unknown/file.ts', '../errors.js', 'lib/errors.ts'],
] as const) {
  test(`the_checks_find_a_forbidden_import: ${from} imports ${to}`, (t) => {
    const finding = [`${from}:1 imports ${to}`]
    t.deepEqual(forbiddenImports(filesWith({ [from]: [specifier] })), finding)
    t.deepEqual(forbiddenImports({ [from]: `import type { A } from '${specifier}'` }), finding)
  })
}

test('the_checks_find_a_circle_and_print_it', (t) => {
  const circle = {
    'lib/index.ts': ['./model/a.js'],
    'lib/model/a.ts': ['node:net', './leaf.js', './b.js'],
    'lib/model/b.ts': ['../loop/c.js'],
    'lib/loop/c.ts': ['../model/leaf.js', '../model/a.js'],
    'lib/model/leaf.ts': [],
  }
  const expected = ['lib/model/a.ts', 'lib/model/b.ts', 'lib/loop/c.ts', 'lib/model/a.ts']
  t.deepEqual(importCircle(filesWith(circle)), expected)
  t.deepEqual(importCircle({ 'lib/model/a.ts': `export * from './a.js'` }), ['lib/model/a.ts', 'lib/model/a.ts'])
  t.deepEqual(
    importCircle({ ...filesWith(circle), 'lib/loop/c.ts': `import { type A } from '../model/a.js'` }),
    expected,
  )
})

test('the_checks_ignore_a_circle_of_types_and_files_imported_twice', (t) => {
  const files = {
    ...filesWith({
      'lib/model/a.ts': ['./b.js', './c.js'],
      'lib/model/b.ts': ['./d.js'],
      'lib/model/c.ts': ['./d.js'],
    }),
    'lib/model/d.ts': `import type { A } from './a.js'\nexport type { B } from './b.js'`,
  }
  t.deepEqual(importCircle(files), [])
})

test('the_checks_find_matching_code_and_ignore_comments', (t) => {
  const files = { 'src/core/a.rs': '//! libc::read\nlet n = 1; // libc::read\nlet n = libc::read(0);\n' }
  t.deepEqual(matchingLines(files, /\blibc::/), ['src/core/a.rs:3'])
})

test('the_checks_find_global_timers_and_clocks', (t) => {
  const text = `
    import { setTimeout, now } from '../loop/timers.js'
    setTimeout(() => this.#timer.setImmediate(true), now())
    class WakeTimer { setImmediate(): void {} }
    setImmediate(later)
    const wait = { clearTimeout: 1, then: queueMicrotask }
    process.nextTick(wait)
    performance.now() + Date.now() + new Date().getTime()
    globalThis.setTimeout(wait)`
  const found = ['setImmediate', 'queueMicrotask', 'nextTick', 'performance', 'Date', 'Date', 'globalThis']
  const lines = [5, 6, 7, 8, 8, 8, 9]
  t.deepEqual(
    globalTimers({ 'lib/model/a.ts': text }),
    found.map((name, at) => `lib/model/a.ts:${lines[at]} ${name}`),
  )
})

test('the_checks_find_an_unsafe_block_without_a_SAFETY_comment', (t) => {
  const block = 'let n = unsafe { read() };\n'
  t.deepEqual(unexplainedUnsafe({ 'src/sys/a.rs': block }), ['src/sys/a.rs:1'])
  t.deepEqual(unexplainedUnsafe({ 'src/sys/a.rs': `// SAFETY: a reason.\n${'\n'.repeat(7)}${block}` }), [])
  t.deepEqual(unexplainedUnsafe({ 'src/sys/a.rs': `// SAFETY: a reason.\n${'\n'.repeat(8)}${block}` }), [
    'src/sys/a.rs:10',
  ])
})

test('the_checks_find_a_file_with_more_lines_than_the_limit', (t) => {
  const files = { 'lib/a.ts': 'a\n'.repeat(340), 'lib/b.ts': 'b\n'.repeat(341), 'src/c.rs': 'c\n'.repeat(340) + 'c' }
  t.deepEqual(longFiles(files, MOST_LINES), ['lib/b.ts: 341 lines', 'src/c.rs: 341 lines'])
})

/** Files that import these specifiers. */
function filesWith(imports: Readonly<Record<string, readonly string[]>>): Files {
  return Object.fromEntries(
    Object.entries(imports).map(([path, specifiers]) => [path, specifiers.map((it) => `import '${it}'`).join('\n')]),
  )
}
