const socket = require('m-socket')

import('./echo.mjs').then(({ echo }) => echo(socket, socket))
