// The folder `copy` holds a second installation: other files, so the addon is mapped twice.
import * as one from 'm-socket'

import * as other from './copy/again.mjs'
import { echo } from './echo.mjs'

if (one.Socket === other.Socket) throw new Error('there is one copy')
await Promise.all([echo(one, one), echo(other, other), echo(one, other), echo(other, one)])
