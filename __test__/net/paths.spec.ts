import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { eachOnBoth, eventOf, logEvents, onBoth, thrownBy } from '../support/both-nets.js'
import { freePath } from '../support/unix.js'

eachOnBoth<(t: Parameters<typeof freePath>[0]) => string>(
  'a_path_that_cannot_be_connected_to: %s',
  {
    'nothing there': (t) => freePath(t),
    'a folder that does not exist': (t) => join(freePath(t), 'socket'),
    'a file': (t) => {
      const path = freePath(t)
      writeFileSync(path, '')
      return path
    },
    'a folder': () => tmpdir(),
    // Node 20 and 22 cut it.
    ...(Number.parseInt(process.versions.node) >= 24 && {
      'a path that is too long': (t: Parameters<typeof freePath>[0]) => `${freePath(t)}${'x'.repeat(200)}`,
    }),
    'an abstract name that is not there': () => '\0m-socket-nothing-there',
  },
  (path) =>
    async (net, log, { t, track }) => {
      const at = path(t)
      const client = track(net.connect(at))
      log(`${client.connecting} ${client.readyState}`)
      logEvents(client, (entry) => log(String(entry).replaceAll(at, 'PATH')))
      await eventOf(client, 'close')
    },
)

onBoth('a_path_connects_and_has_no_addresses', async (net, log, { t, server, track }) => {
  const path = freePath(t)
  await server(
    (socket) => {
      log(`server ${JSON.stringify(socket.address())} ${socket.remoteAddress} ${socket.localPort}`)
      socket.end('hello')
    },
    { listen: { path } },
  )
  const client = track(net.connect({ path }))
  logEvents(client, (entry) => log(String(entry).replaceAll(path, 'PATH')), { without: ['ready', 'connect'] })
  await eventOf(client, 'close')
  log(JSON.stringify(client.address()))
})

onBoth('a_unix_socket_cannot_be_reset', async (net, log, { t, server, track }) => {
  const path = freePath(t)
  await server(() => {}, { listen: { path } })
  const client = track(net.connect(path))
  await eventOf(client, 'connect')
  log(thrownBy(() => client.resetAndDestroy()))
  log(client.destroyed)
  log(client.setNoDelay() === client && client.setKeepAlive(true) === client)
})
