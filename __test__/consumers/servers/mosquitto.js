import { writeFileSync } from 'node:fs'

import { asUser, Daemon, freePort } from './support.js'

export const needs = [['mosquitto', 'mosquitto']]

export async function start(folder) {
  const port = await freePort()
  const config = `${folder}/mosquitto.conf`
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_inflight_messages 0
persistence true
persistence_location ${folder}/
`,
  )
  const mosquitto = new Daemon('mosquitto', ['-c', config], {
    ...asUser('mosquitto', folder),
    ready: /mosquitto version \S+ running/,
  })
  await mosquitto.start()
  return {
    details: { host: '127.0.0.1', port },
    commands: {
      /** It writes its state down first. */
      stop: () => mosquitto.stop('SIGTERM'),
      kill: () => mosquitto.stop('SIGKILL'),
      start: async () => void (await mosquitto.start()),
    },
    stop: () => mosquitto.stop('SIGKILL'),
  }
}
