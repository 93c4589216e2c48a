import type { ChildProcess } from 'node:child_process'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

import test from 'ava'

import { THEMES } from '../../benchmark/chart.js'
import { drawOverview, panelsOf } from '../../benchmark/overview.js'
import { measured } from '../../benchmark/page.js'
import { relayResults } from '../../benchmark/relay-page.js'
import { betterHaproxy, loadsOf, ratioOf } from '../../benchmark/relay-results.js'
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

test('the_picture_is_drawn_from_the_committed_results', (t) => {
  const panels = panelsOf(measured(), relayResults())
  for (const [name, theme] of Object.entries(THEMES)) {
    t.is(drawOverview(panels, theme), textOf(`docs/charts/overview-${name}.svg`), 'npm run bench:page draws it')
  }
})

test('the_figures_are_those_of_the_committed_results', (t) => {
  const { timed, memory } = measured()
  const text = README.replaceAll(/\s+/g, ' ')
  const ratio = (load: string, name: string, to: 'net' | 'bun'): string =>
    timed[load]![name]!.ratio[to]!.median.toFixed(2)
  const cpu = (load: string, name: string): number => timed[load]![name]!.cpu.median
  const relayed = relayResults()
  const ofHaproxy = (name: string): string => {
    const load = loadsOf(relayed).find((it) => it.name === name)!
    return ratioOf(relayed, load, 'relay', betterHaproxy(relayed, load))!.median.toFixed(2)
  }
  const onNode26 = (load: string): string => (cpu(load, 'handlers@26') / cpu(load, 'net@26')).toFixed(2)
  for (const shown of [
    `${ratio('echo-64x1000', 'handlers', 'net')} to ${ratio('echo-64x50', 'handlers', 'net')} of its CPU per echo`,
    `${(memory['handlers']!.collected / memory['net']!.collected).toFixed(2)} of its memory per idle connection`,
    `${onNode26('echo-64x50')} per echo, ${onNode26('accept')} per accepted connection`,
    `${ratio('echo-64x1000', 'handlers', 'bun')} to ${ratio('echo-64x50', 'handlers', 'bun')} of Bun's CPU per echo of 64 bytes`,
    `${ratio('accept', 'handlers', 'bun')} per accepted connection`,
    `It takes ${ofHaproxy('64')} of HAProxy's CPU per round trip of 64 bytes and ${ofHaproxy('bulk-8')} in bulk`,
    `its 99th percentile is ${ofHaproxy('p99')} times HAProxy's`,
    `An echo of 16 KiB takes ${ratio('echo-16Kx50', 'handlers', 'bun')}, or ${ratio('echo-16Kx50', 'borrowed', 'bun')} with`,
  ]) {
    t.true(text.includes(shown), shown)
  }
})
