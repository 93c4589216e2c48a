import type { ChildProcess } from 'node:child_process'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

import test from 'ava'

import { outcomeOf, start } from '../support/child.js'
import { codeBlocks as blocksOf, expectedOutput, startBlock, textOf } from '../support/code-blocks.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'

const README = textOf('README.md')

function blocks(language: string): string[] {
  return blocksOf(README, language)
}

async function untilListening(port: string): Promise<void> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const connected = await new Promise<boolean>((resolve) => {
      const probe = connect(Number(port), '127.0.0.1')
      probe
        .on('error', () => resolve(false))
        .on('connect', () => {
          probe.destroy()
          resolve(true)
        })
    })
    if (connected) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('each_code_block_is_run_by_a_test_of_this_file', (t) => {
  t.is(blocks('ts').length, 3)
  t.is(blocks('console').length, 1)
  t.is(blocks('sh').length, 1)
})

testWith(['nc'], 'the_echo_server_answers_as_shown', async (t) => {
  const port = String(freePort())
  await startBlock(t, blocks('ts')[0]!.replace('5000', port))
  await untilListening(port)
  const [typed, ...shown] = blocks('console')[0]!.trimEnd().split('\n')
  const command = typed!.replace('$ ', '').replace('5000', port)
  const { stdout } = await outcomeOf(start(t, 'sh', ['-c', `timeout 20 sh -c '${command}'`]))
  t.deepEqual(stdout.trimEnd().split('\n'), shown)
})

test('the_example_of_m_socket_net_serves_http_and_an_echo', async (t) => {
  const [web, echo] = [String(freePort()), String(freePort())]
  const child = await startBlock(t, blocks('ts')[1]!.replace('8080', web).replace('7000', echo))
  await Promise.race([Promise.all([untilListening(web), untilListening(echo)]), failure(child)])
  t.is(await (await fetch(`http://127.0.0.1:${web}/`)).text(), 'hello')
  const client = connect(Number(echo), '127.0.0.1').end('there and back')
  t.is(await text(client), 'there and back')
})

/** Rejects when the program ends. */
async function failure(child: ChildProcess): Promise<never> {
  const { stderr } = await outcomeOf(child)
  throw new Error(stderr)
}

test('the_example_with_handlers_prints_what_its_comments_say', async (t) => {
  const code = blocks('ts')[2]!
  const shown = expectedOutput(code)
  t.is(shown.length, 2)
  const { code: status, stdout, stderr } = await outcomeOf(await startBlock(t, code))
  t.is(status, 0, stderr)
  t.deepEqual(stdout.trimEnd().split('\n').sort(), shown.sort())
})

test('the_commands_are_scripts_of_the_package', (t) => {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }
  for (const [, name] of blocks('sh')[0]!.matchAll(/^npm (\w+)/gm)) t.truthy(scripts[name!], name)
})
