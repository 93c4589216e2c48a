import { Daemon, freePort } from './support.js'

export const needs = [['redis-server', 'redis-server']]

export async function start(folder) {
  const port = await freePort()
  const redis = new Daemon(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
    { ready: /Ready to accept connections/ },
  )
  await redis.start()
  return {
    details: { host: '127.0.0.1', port },
    commands: {
      kill: () => redis.stop('SIGKILL'),
      start: async () => void (await redis.start()),
      restart: () => redis.restart('SIGKILL'),
    },
    stop: () => redis.stop('SIGKILL'),
  }
}
