// A Duplex over each of our connections. --pipe: with pipe().

import { listen, toDuplex } from 'm-socket'

import { announce } from './support/control.js'
import { serve } from './support/stream.js'

const server = listen({
  host: '127.0.0.1',
  port: 0,
  backlog: 4096,
  allowHalfOpen: true,
  socket: { open: (connection) => serve(toDuplex(connection)) },
})

announce(server.port!)
