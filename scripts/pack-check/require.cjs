const assert = require('node:assert')
const socket = require('m-socket')
const net = require('m-socket/net')

assert(net.createServer() instanceof require('node:net').Server)
class Own extends net.Server {}
assert(new Own() instanceof net.Server)

import('./echo.mjs').then(async ({ echo, echoNet }) => {
  await echo(socket, socket)
  await echoNet(net)
})
