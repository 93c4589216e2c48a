// With a `process.platform` that is not Linux, and without a binary.
import assert from 'node:assert'
import { createRequire } from 'node:module'
import nodeNet from 'node:net'

import net, { Socket } from 'm-socket/net'

import { echoNet } from './echo.mjs'

const require = createRequire(import.meta.url)
await import('m-socket/register')
assert(
  net === nodeNet && Socket === nodeNet.Socket && require('m-socket/net') === nodeNet && require('net') === nodeNet,
)
await echoNet(net)
