import * as socket from 'm-socket'

import { echo } from './echo.mjs'

await echo(socket, socket)
