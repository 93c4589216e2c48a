// `node --import m-socket/register app.js`: whatever imports or requires `net` or `node:net` gets `m-socket/net`.

import { createRequire } from 'node:module'

import { IS_NODE } from './node-version.js'

/** Set in a thread in which `net` is replaced already, by whatever copy of the package. */
const REGISTERED = Symbol.for('m-socket/register')
const registered = process as { [REGISTERED]?: true }

if (process.platform === 'linux' && IS_NODE && !registered[REGISTERED]) {
  // Loaded only here, since it loads the addon.
  const { redirect } = createRequire(import.meta.url)('./net/redirect.js') as { redirect: () => void }
  redirect()
  registered[REGISTERED] = true
}
