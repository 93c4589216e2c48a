import { existsSync } from 'node:fs'
import process from 'node:process'

import test, { type ExecutionContext } from 'ava'

import { outcomeOf, start } from '../support/child.js'
import { freePath } from '../support/unix.js'

/** Node 22.13 renamed it; the old name stays, with a warning. */
const PERMISSION = Number(process.versions.node.split('.')[0]) < 24 ? '--experimental-permission' : '--permission'

/** What a module, given as source text, prints under options of Node. */
async function output(t: ExecutionContext, options: readonly string[], source: string): Promise<string> {
  const args = [...options, '--input-type=module', '--eval', source]
  const child = start(t, process.execPath, args, { cwd: new URL('../..', import.meta.url), stdio: 'pipe' })
  const { stdout, stderr } = await outcomeOf(child)
  return stdout === '' ? stderr : stdout.trim()
}

const IMPORT = `
  try {
    const { listen } = await import('m-socket')
    const server = listen({ host: '127.0.0.1' })
    console.log(server.port > 0)
    server.stop()
  } catch (error) {
    console.log(error.message)
  }`

test('the_import_says_which_option_of_node_allows_addons', async (t) => {
  t.is(
    await output(t, [PERMISSION, '--allow-fs-read=*'], IMPORT),
    'm-socket needs a native addon, which the permission model of this Node does not allow: run node with --allow-addons',
  )
  t.is(
    await output(t, ['--no-addons'], IMPORT),
    'm-socket needs a native addon, which this Node does not allow: run node without --no-addons',
  )
})

test('with_addons_allowed_the_permission_model_changes_nothing', async (t) => {
  t.is(await output(t, [PERMISSION, '--allow-fs-read=*', '--allow-addons'], IMPORT), 'true')
})

test('mode_and_unlink_are_refused_before_the_path_is_bound_where_files_must_not_be_written', async (t) => {
  const path = freePath(t)
  const source = `
    import { Listener } from 'm-socket'
    const path = ${JSON.stringify(path)}
    for (const options of [{ mode: 0o600 }, { unlink: 'stale' }, { unlink: true }]) {
      try {
        Listener.bind({ path, ...options }).close()
        console.log('bound')
      } catch (error) {
        console.log(error.name, error.code, /--allow-fs-write/.test(error.message))
      }
    }`
  const readable = [PERMISSION, '--allow-fs-read=*', '--allow-addons']
  t.is(await output(t, readable, source), 'SocketError EACCES true\n'.repeat(3).trim())
  t.false(existsSync(path))
  t.is(await output(t, [...readable, `--allow-fs-write=${path}`], source), 'bound\n'.repeat(3).trim())
})
