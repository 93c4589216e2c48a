import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import { Listener } from 'm-socket'

import { outcomeOf, start } from './support/child.js'
import { testWith } from './support/peers.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** The README's code blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code!)
}

/** Runs a block as a program of its own, from the project's root, where 'm-socket' is this package. */
async function run(t: ExecutionContext, code: string) {
  const file = join(ROOT, `.readme-${process.pid}-${blocksRun++}.ts`)
  await writeFile(file, code)
  t.teardown(() => rm(file))
  return start(t, process.execPath, ['--import', '@oxc-node/core/register', file], { cwd: ROOT })
}

let blocksRun = 0

/** A port that nobody listens on, most likely. */
function freePort(): string {
  using listener = Listener.bind({ host: '127.0.0.1' })
  const address = listener.address!
  return String('port' in address ? address.port : 0)
}

async function untilListening(port: string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const connected = await new Promise<boolean>((resolve) => {
      const probe = connect(Number(port), '127.0.0.1')
      probe.on('error', () => resolve(false)).on('connect', () => {
        probe.destroy()
        resolve(true)
      })
    })
    if (connected) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('each_block_of_code_is_run_by_a_test_here', (t) => {
  t.is(blocks('ts').length, 2)
  t.is(blocks('console').length, 1)
  t.is(blocks('sh').length, 1)
})

testWith(['nc'], 'the_echo_server_answers_as_shown', async (t) => {
  const port = freePort()
  await run(t, blocks('ts')[0]!.replace('5000', port))
  await untilListening(port)
  const [typed, ...shown] = blocks('console')[0]!.trimEnd().split('\n')
  const command = typed!.replace('$ ', '').replace('5000', port)
  const { stdout } = await outcomeOf(start(t, 'sh', ['-c', `timeout 20 sh -c '${command}'`]))
  t.deepEqual(stdout.trimEnd().split('\n'), shown)
})

test('the_handlers_print_what_their_comments_say', async (t) => {
  const code = blocks('ts')[1]!
  const shown = [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, output]) => output!)
  t.is(shown.length, 2)
  const { code: status, stdout, stderr } = await outcomeOf(await run(t, code))
  t.is(status, 0, stderr)
  t.deepEqual(stdout.trimEnd().split('\n').sort(), shown.sort())
})

test('the_two_commands_are_scripts_of_the_package', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const [, name] of blocks('sh')[0]!.matchAll(/^npm (\w+)/gm)) t.truthy(scripts[name!], name)
})
