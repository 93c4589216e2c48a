import { connect, listen } from 'm-socket'

import { echo } from './echo.mjs'

echo({ listen }, { connect }).then(() => console.log('echoed'))
