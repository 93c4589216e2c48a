import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import Module from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './support/child.js'
import { TYPESCRIPT } from './support/runtime.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const IMPORT = ['--import', 'm-socket/register']
const REQUIRE = ['-r', 'm-socket/register']

/** Writes a program's files into a folder in which `m-socket` is installed. */
function program(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'm-socket-register-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(ROOT, join(folder, 'node_modules/m-socket'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

async function run(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const options = { cwd: program(t, files), env: { ...process.env, ...env }, stdio: 'pipe' as const }
  return outcomeOf(start(t, process.execPath, [...args, Object.keys(files)[0]!], options))
}

/** Each form prints its name, and what of it is not `m-socket/net`. */
const CHECKS = `function report(form, nets) {
  console.log(form, nets.map((net) => net === globalThis.own && net.Socket === globalThis.own.Socket))
}`

const ES_MODULE = `import own from 'm-socket/net'
import plain, { Socket, BlockList, connect as open } from 'net'
import prefixed, * as all from 'node:net'
import { createRequire } from 'node:module'
globalThis.own = own
${CHECKS}
const require = createRequire(import.meta.url)
const { default: late } = await import('net')
const { default: later } = await import('node:' + 'net')
report('import', [plain, prefixed, all.default, late, later])
report('require', [require('net'), require('node:net'), process.getBuiltinModule('net'), process.getBuiltinModule('node:net')])
console.log('named', Socket === own.Socket, BlockList === own.BlockList, open === own.connect)
console.log('missing', Object.keys(own).filter((name) => all[name] !== own[name]))
console.log('resolve', require.resolve('net'), require.resolve('node:net'))
`

const ES_MODULE_PRINTS = `import [ true, true, true, true, true ]
require [ true, true, true, true ]
named true true true
missing []
resolve net node:net
`

const COMMON_JS = `globalThis.own = require('m-socket/net')
${CHECKS}
const { Socket } = require('net')
console.log('named', Socket === own.Socket)
report('require', [require('net'), require('node:net'), module.require('net')])
report('required', [require('./other.cjs')])
import('net').then((late) => report('import', [late.default]))
import('./other.cjs').then((late) => report('imported', [late.default]))
`

const COMMON_JS_PRINTS = `named true
require [ true, true, true ]
required [ true ]
import [ true ]
imported [ true ]
`

for (const [form, args, env] of [
  ['--import', IMPORT, {}],
  ['-r', REQUIRE, {}],
  ['NODE_OPTIONS', [], { NODE_OPTIONS: '--import=m-socket/register' }],
  ['twice', [...REQUIRE, ...IMPORT, ...IMPORT], {}],
] as const) {
  test(`an_ES_module_gets_m-socket/net_for_net: ${form}`, async (t) => {
    const { stdout, code } = await run(t, { 'main.mjs': ES_MODULE }, args, env)
    t.is(stdout, ES_MODULE_PRINTS)
    t.is(code, 0)
  })

  test(`CommonJS_gets_m-socket/net_for_net: ${form}`, async (t) => {
    const files = { 'main.cjs': COMMON_JS, 'other.cjs': "module.exports = require('node:net')" }
    const { stdout, code } = await run(t, files, args, env)
    t.is(stdout, COMMON_JS_PRINTS)
    t.is(code, 0)
  })

  test(`a_worker_gets_m-socket/net_for_net: ${form}`, async (t) => {
    const main = `const { Worker } = require('node:worker_threads')
      for (const name of ['worker.mjs', 'worker.cjs']) new Worker(require.resolve('./' + name)).on('exit', (code) => console.log('exit', code))`
    const files = {
      'main.cjs': main,
      'worker.mjs': "import own from 'm-socket/net'; import net from 'net'; console.log(net === own)",
      'worker.cjs': "console.log(require('node:net') === require('m-socket/net'))",
    }
    const { stdout } = await run(t, files, args, env)
    t.deepEqual(stdout.trim().split('\n').sort(), ['exit 0', 'exit 0', 'true', 'true'])
  })
}

// Node 20 asks no hooks for what an ES module imports that is required.
const testWithSyncHooks = 'registerHooks' in Module ? test : test.skip

testWithSyncHooks('an_ES_module_that_is_required_gets_m-socket/net_for_net', async (t) => {
  const files = {
    'main.cjs': "console.log(require('./module.mjs').net === require('m-socket/net'))",
    'module.mjs': "export { default as net } from 'net'",
  }
  t.is((await run(t, files, IMPORT)).stdout, 'true\n')
})

test('what_other_hooks_compile_gets_m-socket/net_for_net', async (t) => {
  const files = {
    'main.ts':
      "import net from 'net'\nimport own from 'm-socket/net'\nimport './common.cjs'\nconsole.log((net as unknown) === own)",
    'common.cjs': "console.log(require('net') === require('m-socket/net'))",
  }
  for (const args of [
    [...IMPORT, ...TYPESCRIPT],
    [...TYPESCRIPT, ...IMPORT],
  ])
    t.is((await run(t, files, args)).stdout, 'true\ntrue\n', args.join(' '))
})

test('m-socket_and_Node_itself_keep_the_net_of_Node', async (t) => {
  const main = `import own from 'm-socket/net'
    import http from 'node:http'
    import 'm-socket'
    const node = Object.getPrototypeOf(http.Server)
    console.log(node === own.Server, http.createServer() instanceof node)`
  const { stdout } = await run(t, { 'main.mjs': main }, [])
  t.is((await run(t, { 'main.mjs': main }, IMPORT)).stdout, stdout)
})

test('a_second_copy_of_the_package_does_nothing_and_keeps_the_net_of_Node', async (t) => {
  const files = {
    'main.mjs':
      "import 'm-socket/register'\nimport net from 'net'\nimport own from 'm-socket/net'\nconsole.log(net === own)",
  }
  const folder = program(t, files)
  const copy = join(folder, 'other/node_modules/m-socket')
  for (const name of ['dist', 'package.json', 'loadable.js', 'index.js'])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  const args = [...IMPORT, '--import', join(copy, 'dist/register.js'), join(folder, 'main.mjs')]
  const { stdout, stderr } = await outcomeOf(start(t, process.execPath, args, { cwd: folder, stdio: 'pipe' }))
  t.is(stdout, 'true\n', stderr)
})

test('off_Linux_registering_does_nothing', async (t) => {
  const files = {
    'main.mjs':
      "import net from 'net'\nconsole.log(net.connect.toString() === process.getBuiltinModule('net').connect.toString())\nconsole.log(process[Symbol.for('m-socket/register')])",
    'darwin.mjs': "Object.defineProperty(process, 'platform', { value: 'darwin' })",
  }
  const { stdout, stderr } = await run(t, files, ['--import', './darwin.mjs', ...IMPORT])
  t.is(stdout, 'true\nundefined\n', stderr)
})

test('without_the_addon_registering_fails_and_says_what_to_install', async (t) => {
  const folder = program(t, {})
  const copy = join(folder, 'copy')
  for (const name of ['dist', 'package.json', 'loadable.js', 'index.js'])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  const args = ['--import', join(copy, 'dist/register.js'), '--eval', '1']
  const { code, stderr } = await outcomeOf(start(t, process.execPath, args, { cwd: folder, stdio: 'pipe' }))
  t.is(code, 1)
  t.regex(stderr, /m-socket needs the package m-socket-linux-\w+-\w+, which is not installed: run npm install again/)
})
