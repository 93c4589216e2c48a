// node:net. --pipe: with pipe().

import { type AddressInfo, createServer } from 'node:net'

import { announce } from './support/control.js'
import { serve } from './support/stream.js'

const server = createServer({ allowHalfOpen: true, noDelay: true }, serve)

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => announce((server.address() as AddressInfo).port))
