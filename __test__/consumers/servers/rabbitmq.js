import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import process from 'node:process'
import { promisify } from 'node:util'

import { asUser, Daemon, freePort } from './support.js'

export const needs = [
  ['rabbitmq-server', 'rabbitmq-server'],
  ['epmd', 'erlang-base'],
]

/** Debian's own command starts the service's user and folders. */
const RABBITMQ = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl'

const execute = promisify(execFile)

export async function start(folder) {
  const user = asUser('rabbitmq', folder)
  const [port, namesPort, distributionPort] = [await freePort(), await freePort(), await freePort()]
  writeFileSync(
    `${folder}/rabbitmq.conf`,
    `listeners.tcp.1 = 127.0.0.1:${port}
log.console = true
log.console.level = info
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 1MB
`,
  )
  writeFileSync(`${folder}/enabled_plugins`, '[].\n')
  // Erlang would start it as a daemon that stays.
  const names = new Daemon('epmd', ['-d', '-port', `${namesPort}`, '-address', '127.0.0.1'], {
    ...user,
    cwd: folder,
    ready: /epmd running/,
  })
  await names.start()
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    LANG: 'C.UTF-8',
    ERL_EPMD_PORT: `${namesPort}`,
    RABBITMQ_NODENAME: `consumers@localhost`,
    RABBITMQ_DIST_PORT: `${distributionPort}`,
    RABBITMQ_CONFIG_FILE: `${folder}/rabbitmq.conf`,
    RABBITMQ_MNESIA_BASE: `${folder}/mnesia`,
    RABBITMQ_LOG_BASE: `${folder}/log`,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${folder}/enabled_plugins`,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+sbwt none',
  }
  const rabbitmq = new Daemon(RABBITMQ, [], { ...user, cwd: folder, env, ready: /Server startup complete/ })
  const stop = async () => {
    await rabbitmq.stop('SIGTERM')
    await names.stop('SIGKILL')
  }
  try {
    await rabbitmq.start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    details: { host: '127.0.0.1', port, folder },
    commands: {
      /** By the command line of the broker: each client gets a CONNECTION_FORCED. */
      closeConnections: async () =>
        void (await execute(CONTROL, ['-q', 'close_all_connections', 'test'], { ...user, env })),
    },
    stop,
  }
}
