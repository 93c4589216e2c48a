import { asUser, Daemon, freePort, runSync, selfSigned } from './support.js'

export const needs = [
  ['mariadbd', 'mariadb-server'],
  ['mariadb-install-db', 'mariadb-server'],
  ['openssl', 'openssl'],
]

export async function start(folder) {
  const user = asUser('mysql', folder)
  const data = `${folder}/data`
  const { key, cert } = selfSigned(folder, user)
  runSync(
    'mariadb-install-db',
    ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db'],
    { ...user, cwd: folder },
  )
  const port = await freePort()
  const mariadb = new Daemon(
    'mariadbd',
    [
      '--no-defaults',
      `--datadir=${data}`,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      `--socket=${folder}/socket`,
      `--pid-file=${folder}/pid`,
      '--innodb-flush-log-at-trx-commit=0',
      '--innodb-buffer-pool-size=16M',
      '--innodb-log-file-size=8M',
      '--max-allowed-packet=64M',
      `--ssl-cert=${cert}`,
      `--ssl-key=${key}`,
    ],
    { ...user, cwd: folder, ready: /ready for connections[^]*port: \d+/ },
  )
  await mariadb.start()
  return {
    details: { host: '127.0.0.1', port, folder, cert },
    commands: {
      kill: () => mariadb.stop('SIGKILL'),
      start: async () => void (await mariadb.start()),
    },
    stop: () => mariadb.stop('SIGKILL'),
  }
}
