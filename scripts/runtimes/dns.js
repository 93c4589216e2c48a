// Replaces node:dns/promises for the library on Bun and Deno, so that a test can replace `lookup`: there
// syncBuiltinESMExports() does not update names that are imported already.

import { promises } from 'node:dns'

export default promises

export const lookup = (...args) => promises.lookup(...args)
