// With --import m-socket/register.
import assert from 'node:assert'
import net, { Socket } from 'node:net'
import { createRequire } from 'node:module'

import ours from 'm-socket/net'

import { echoNet } from './echo.mjs'

const require = createRequire(import.meta.url)
assert(net === ours && Socket === ours.Socket)
assert(require('net') === ours && (await import('net')).default === ours)
await echoNet(net)
