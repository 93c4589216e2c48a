import assert from 'node:assert'
import nodeNet from 'node:net'

import * as socket from 'm-socket'
import net, { Server, Socket, connect } from 'm-socket/net'

import { echo, echoNet } from './echo.mjs'

assert.deepEqual([Socket, Server, connect], [net.Socket, net.Server, net.connect])
assert(Socket !== nodeNet.Socket)
await echo(socket, socket)
await echoNet(net)
