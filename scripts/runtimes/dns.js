// node:dns/promises as the library gets it here, so that a test can put another `lookup` in place: neither Bun's nor Deno's
// syncBuiltinESMExports() changes what has been imported by name.

import { promises } from 'node:dns'

export default promises

export const lookup = (...args) => promises.lookup(...args)
