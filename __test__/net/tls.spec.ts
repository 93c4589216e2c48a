import type { Socket } from 'node:net'
import tls from 'node:tls'

import test from 'ava'
import { Socket as OurSocket } from 'm-socket/net'

import { type Log, type Net, type Stage, eventOf, logEvents, onBoth, portOf } from '../support/both-nets.js'
import { certificate } from '../support/certificate.js'

/** Beneath TLS Node's own socket has fewer events: a stream of C++ takes its handle. */
const ENDS = { without: ['lookup', 'connectionAttempt', 'connect', 'ready', 'prefinish', 'finish', 'drain'] }

interface Upgraded {
  readonly client: tls.TLSSocket
  readonly server: tls.TLSSocket
  readonly beneath: Socket
  readonly serverBeneath: Socket
}

/** Both ends write text first, and have connected long before they begin with TLS. */
async function upgrade(net: Net, { server, track }: Stage): Promise<Upgraded> {
  let accepted!: (socket: Socket) => void
  const connection = new Promise<Socket>((resolve) => (accepted = resolve))
  const listening = await server((socket) => accepted(socket))
  const beneath = track(net.connect(portOf(listening), '127.0.0.1'))
  const serverBeneath = await connection
  serverBeneath.write('ready')
  await eventOf(beneath, 'data')
  const upgraded = {
    beneath,
    serverBeneath,
    server: new tls.TLSSocket(serverBeneath, {
      isServer: true,
      secureContext: tls.createSecureContext(certificate()),
    }),
    client: tls.connect({ socket: beneath, ca: certificate().cert, servername: 'localhost' }),
  }
  await eventOf(upgraded.client, 'secureConnect')
  return upgraded
}

function logEnds({ client, server }: Upgraded, log: Log): void {
  logEvents(client, log, { prefix: 'client ', ...ENDS })
  server.on('error', () => {})
}

onBoth('both_ends_of_a_connection_go_on_by_tls', async (net, log, stage) => {
  const upgraded = await upgrade(net, stage)
  logEnds(upgraded, log)
  const { client, server, beneath } = upgraded
  log(client.authorized)
  server.on('data', (chunk) => server.end(`echo ${chunk}`))
  client.write('hello')
  await eventOf(client, 'close')
  log(beneath.destroyed)
})

onBoth('the_end_of_the_peer_beneath_tls_is_an_end_without_an_error', async (net, log, stage) => {
  const upgraded = await upgrade(net, stage)
  logEnds(upgraded, log)
  const { client, server, beneath, serverBeneath } = upgraded
  const closed = eventOf(client, 'close')
  client.resume()
  client.write('hello')
  // With bytes unread it would be a reset.
  await eventOf(server, 'data')
  // A FIN without a close_notify.
  serverBeneath.destroy()
  await closed
  log(beneath.destroyed)
})

onBoth('an_end_by_the_client_closes_both', async (net, log, stage) => {
  const upgraded = await upgrade(net, stage)
  logEnds(upgraded, log)
  const { client, server } = upgraded
  server.on('data', (chunk) => log(`server data ${chunk}`)).on('end', () => log('server end'))
  const closed = [eventOf(client, 'close'), eventOf(server, 'close')]
  client.resume()
  client.end('last')
  await Promise.all(closed)
})

onBoth('one_stream_after_another_is_upgraded', async (net, log, stage) => {
  // What another stream is asked, and does, is no matter.
  const other = stage.track(new net.Socket())
  for (let count = 0; count < 3; count++) {
    void (other as unknown as { _handle: unknown })._handle
    other.pause()
    const { client, server } = await upgrade(net, stage)
    server.end(`number ${count}`)
    log(String((await eventOf(client, 'data'))[0]))
    await eventOf(client, 'close')
  }
})

test('a_stream_has_no_handle_of_Nodes_whatever_is_asked_in_which_order', (t) => {
  const socket = new OurSocket() as unknown as Socket & { _handle: unknown }
  t.is(socket._handle, null)
  socket.pause()
  t.is(socket._handle, null)
  t.is(socket._handle, null)
})
