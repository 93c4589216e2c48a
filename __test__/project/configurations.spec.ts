// The configurations of other programs that the pages show are accepted by these programs.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import process from 'node:process'

import test, { type ExecutionContext } from 'ava'

import { find } from '../consumers/servers/support.js'
import { blocksOf, pages, textOf } from '../support/code-blocks.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'
import { temporaryDirectory } from '../support/unix.js'

const INFO = 'checked by __test__/project/configurations.spec.ts'

const BLOCKS = pages().flatMap((page) =>
  blocksOf(textOf(page))
    .filter(({ info }) => info === INFO)
    .map(({ code, line }) => ({ place: `${page}:${line}`, code })),
)

const [haproxies, nginxes, units] = [/^(?:backend|frontend|listen|defaults) /, /^server \{/, /^# \/etc\/systemd/].map(
  (begin) => BLOCKS.filter(({ code }) => begin.test(code)),
) as [typeof BLOCKS, typeof BLOCKS, typeof BLOCKS]

test('each_configuration_is_of_a_known_program', (t) => {
  t.is(haproxies.length + nginxes.length + units.length, BLOCKS.length)
  for (const blocks of [haproxies, nginxes, units]) t.true(blocks.length > 0)
})

/** The output of a program, which has to end well. */
function outputOf(t: ExecutionContext, place: string, command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  t.is(status, 0, `${place}: ${stderr}${stdout}`)
  return stdout + stderr
}

function written(t: ExecutionContext, name: string, text: string): string {
  const file = join(temporaryDirectory(t), name)
  writeFileSync(file, text)
  return file
}

/** A whole configuration around a backend. */
function haproxyConfiguration(backend: string): string {
  const [, name] = /^backend (\S+)/.exec(backend) ?? []
  const timeouts = 'timeout connect 5s\n  timeout client 30s\n  timeout server 30s'
  const front = `frontend front\n  bind 127.0.0.1:${freePort()}\n  default_backend ${name}`
  return `defaults\n  mode http\n  ${timeouts}\n\n${front}\n\n${backend}`
}

testWith(['haproxy'], 'haproxy_accepts_its_configurations', (t) => {
  for (const { place, code } of haproxies) {
    outputOf(t, place, find('haproxy')!, ['-c', '-f', written(t, 'haproxy.cfg', haproxyConfiguration(code))])
  }
  const broken = written(t, 'haproxy.cfg', haproxyConfiguration('backend servers\n  balance by-chance\n'))
  t.not(spawnSync(find('haproxy')!, ['-c', '-f', broken]).status, 0)
})

testWith(['nginx', 'nginx stream'], 'nginx_accepts_its_configurations', (t) => {
  for (const { place, code } of nginxes) {
    const folder = temporaryDirectory(t)
    const [config, log] = [join(folder, 'nginx.conf'), join(folder, 'error.log')]
    const block = code.replace('listen 443', `listen 127.0.0.1:${freePort()}`)
    const module = 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;'
    writeFileSync(config, `${module}\npid ${join(folder, 'pid')};\nevents {}\nstream {\n${block}}\n`)
    outputOf(t, place, find('nginx')!, ['-t', '-p', folder, '-c', config, '-e', log])
  }
})

testWith(['systemd-analyze'], 'systemd_accepts_its_units', (t) => {
  const folder = temporaryDirectory(t)
  const files = units.map(({ code }) => {
    const file = join(folder, basename(/^# (\S+)$/m.exec(code)![1]!))
    writeFileSync(file, code.replace('/usr/bin/node', process.execPath))
    return file
  })
  const printed = outputOf(t, 'docs/systemd.md', 'systemd-analyze', ['verify', ...files])
  t.deepEqual(
    printed.split('\n').filter((line) => line.includes(folder)),
    [],
  )
})
