// node:net. --own: the same program on m-socket/net. --pipe: with pipe().

import type { AddressInfo } from 'node:net'

import { announce, has } from './support/control.js'
import { serve } from './support/stream.js'

const { createServer } = (await import(has('--own') ? 'm-socket/net' : 'node:net')) as typeof import('node:net')

const server = createServer({ allowHalfOpen: true, noDelay: true }, serve)

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => announce((server.address() as AddressInfo).port))
