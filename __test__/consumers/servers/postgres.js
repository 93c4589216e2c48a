import { writeFileSync } from 'node:fs'
import process from 'node:process'

import { asUser, Daemon, freePort, runSync, selfSigned } from './support.js'

export const needs = [
  ['initdb', 'postgresql'],
  ['postgres', 'postgresql'],
  ['openssl', 'openssl'],
]

export async function start(folder) {
  const user = asUser('postgres', folder)
  const data = `${folder}/data`
  const { key, cert } = selfSigned(folder, user)
  runSync('initdb', ['-D', data, '-U', 'postgres', '--auth=trust', '--no-locale', '--no-sync', '-E', 'UTF8'], {
    ...user,
    cwd: folder,
  })
  const port = await freePort()
  const settings = {
    port,
    listen_addresses: "'127.0.0.1'",
    unix_socket_directories: `'${folder}'`,
    fsync: 'off',
    max_connections: 30,
    shared_buffers: '16MB',
    ssl: 'on',
    ssl_cert_file: `'${cert}'`,
    ssl_key_file: `'${key}'`,
  }
  writeFileSync(
    `${data}/postgresql.conf`,
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  )
  const postgres = new Daemon('postgres', ['-D', data], {
    ...user,
    cwd: folder,
    ready: /database system is ready to accept connections/,
  })
  await postgres.start()
  return {
    details: { host: '127.0.0.1', port, folder, cert },
    commands: {
      /** Kills one server process: the others end too, and the server starts again by itself. */
      async killBackend(pid) {
        const ready = postgres.ready()
        process.kill(pid, 'SIGKILL')
        await ready
      },
      /** The immediate shutdown. */
      kill: () => postgres.stop('SIGQUIT'),
      start: async () => void (await postgres.start()),
    },
    stop: () => postgres.stop('SIGQUIT'),
  }
}
