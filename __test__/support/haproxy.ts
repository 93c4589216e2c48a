// Programs that write and read PROXY headers: haproxy(1) and nginx(8).

import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import nodeNet from 'node:net'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { find } from '../consumers/servers/support.js'
import { certificate } from './certificate.js'
import { start } from './child.js'
import { freePort } from './ports.js'
import { temporaryDirectory } from './unix.js'
import { until } from './waiting.js'

/** A program that listens. */
export interface RunningProgram {
  readonly child: ChildProcess
  readonly port: number
}

/**
 * Starts HAProxy, with a frontend on a free port.
 *
 * @param bind what follows the address of the frontend; `$PEM` is the path of a key with its certificate, `$PORT` the port
 * @param server what follows `server one` in the backend
 * @param more lines of the section
 */
export async function haproxy(
  t: ExecutionContext,
  { bind = '', server, mode = 'tcp', more = [] }: { bind?: string; server: string; mode?: string; more?: string[] },
): Promise<RunningProgram> {
  const folder = temporaryDirectory(t)
  const [port, config] = [freePort(), join(folder, 'haproxy.cfg')]
  const pem = join(folder, 'server.pem')
  if (bind.includes('$PEM') || server.includes('$PEM')) {
    const { cert, key } = certificate()
    writeFileSync(pem, cert + key)
  }
  const lines = [
    'global',
    ' nbthread 1',
    ' tune.ssl.default-dh-param 2048',
    'defaults',
    ' timeout connect 20s',
    ' timeout client 60s',
    ' timeout server 60s',
    'listen test',
    ` mode ${mode}`,
    ` bind 127.0.0.1:${port} ${bind}`,
    ...more.map((line) => ` ${line}`),
    ` server one ${server}`,
    '',
  ]
  writeFileSync(config, lines.join('\n').replaceAll('$PEM', pem).replaceAll('$PORT', String(port)))
  const child = start(t, find('haproxy')!, ['-db', '-f', config], { stdio: ['ignore', 'inherit', 'inherit'] })
  await listens(child, port)
  return { child, port }
}

/** Starts nginx with a server in its block `stream` or `http`, on a free port, which stands for `$PORT`. */
export async function nginx(
  t: ExecutionContext,
  block: 'stream' | 'http',
  server: readonly string[],
): Promise<RunningProgram> {
  const folder = temporaryDirectory(t)
  const [port, config] = [freePort(), join(folder, 'nginx.conf')]
  mkdirSync(join(folder, 'logs'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  )
  const lines = [
    // Debian has it as a module.
    block === 'stream' ? 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;' : '',
    'daemon off;',
    'master_process off;',
    `pid ${join(folder, 'nginx.pid')};`,
    `error_log ${join(folder, 'error.log')};`,
    'events {}',
    `${block} {`,
    ...(block === 'http' ? ['access_log off;', ...temporary] : []),
    'server {',
    ...server,
    '}',
    '}',
  ]
  writeFileSync(config, lines.join('\n').replaceAll('$PORT', String(port)))
  const child = start(t, find('nginx')!, ['-p', folder, '-c', config, '-e', join(folder, 'error.log')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await listens(child, port)
  return { child, port }
}

async function listens(child: ChildProcess, port: number): Promise<void> {
  let isListening = false
  await until(() => {
    if (child.exitCode !== null) throw new Error(`it has ended: ${child.exitCode}`)
    const socket = nodeNet.connect(port, '127.0.0.1', () => {
      isListening = true
      socket.destroy()
    })
    socket.on('error', () => {})
    return isListening
  })
}
