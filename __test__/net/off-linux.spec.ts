import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { runModule } from '../support/child.js'
import { temporaryDirectory } from '../support/unix.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What the programs begin with: the folder of the package is `root`. */
function offLinux(root: string): string {
  return `import { readFileSync } from 'node:fs'
    import { createRequire } from 'node:module'
    import * as all from 'node:net'
    const nodeNet = all.default
    const require = createRequire(${JSON.stringify(`${root}/`)})
    Object.defineProperty(process, 'platform', { value: 'darwin' })
    const check = (what, holds) => holds || console.log('not', what)
    process.on('exit', () => check('without the addon', !/m-socket[^/]*\\.node/.test(readFileSync('/proc/self/maps'))))
  `
}

/** The package where npm has installed no binary. */
function withoutAddon(t: ExecutionContext): string {
  const folder = temporaryDirectory(t)
  for (const name of ['package.json', 'index.js', 'loadable.js', 'dist']) {
    cpSync(`${ROOT}${name}`, `${folder}/${name}`, { recursive: true })
  }
  return folder
}

async function prints(t: ExecutionContext, root: string, program: string, expected: string): Promise<void> {
  const env = { ...process.env, NAPI_RS_NATIVE_LIBRARY_PATH: root === ROOT ? '' : '/nowhere.node' }
  const { stdout, stderr, code } = await runModule(t, `${offLinux(root)}${program}`, { env })
  t.deepEqual([stdout, stderr, code], [expected, '', 0])
}

const ECHO = `const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1', () => {
    check('a server of Node', server instanceof nodeNet.Server)
    const client = net.connect(server.address().port, '127.0.0.1').end('echoed')
    check('a socket of Node', client.constructor === nodeNet.Socket && client.socket === undefined)
    client.on('data', (chunk) => console.log(String(chunk))).on('close', () => server.close())
  })`

for (const [name, rootOf] of Object.entries({
  with_the_addon: () => ROOT,
  without_the_addon: withoutAddon,
})) {
  test(`off_Linux_an_import_is_node_net: ${name}`, async (t) => {
    const root = rootOf(t)
    const path = JSON.stringify(`${root}/dist/net/index.js`)
    const program = `const ours = await import(${path})
      const net = ours.default
      check('the module', net === nodeNet)
      for (const key of Object.keys(nodeNet)) check(key, ours[key] === nodeNet[key] && ours[key] === all[key])
      ${ECHO}`
    await prints(t, root, program, 'echoed\n')
  })

  test(`off_Linux_a_require_is_node_net: ${name}`, async (t) => {
    const root = rootOf(t)
    await prints(
      t,
      root,
      `const net = require('./dist/net/index.js'); check('it', net === nodeNet); ${ECHO}`,
      'echoed\n',
    )
  })

  test(`off_Linux_register_does_nothing: ${name}`, async (t) => {
    const root = rootOf(t)
    const program = `const { getBuiltinModule } = process
      for (const load of [() => import(${JSON.stringify(`${root}/dist/register.js`)}), () => require('./dist/register.js')]) {
        await load()
        check('required', require('net') === nodeNet && require('node:net') === nodeNet)
        check('imported', (await import('net')).default === nodeNet)
        check('getBuiltinModule', process.getBuiltinModule === getBuiltinModule)
      }
      console.log('done')`
    await prints(t, root, program, 'done\n')
  })
}
