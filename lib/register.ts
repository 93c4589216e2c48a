// `node --import m-socket/register app.js`: whatever imports or requires `net` or `node:net` gets `m-socket/net`.

import { createRequire } from 'node:module'

/** Set in a thread in which `net` is replaced already, by whatever copy of the package. */
const REGISTERED = Symbol.for('m-socket/register')
const registered = process as { [REGISTERED]?: true }

const applies =
  process.platform === 'linux' && process.versions['bun'] === undefined && process.versions['deno'] === undefined

if (applies && !registered[REGISTERED]) {
  // Loaded only here, since it loads the addon.
  const { redirect } = createRequire(import.meta.url)('./net/redirect.js') as { redirect: () => void }
  redirect()
  registered[REGISTERED] = true
}
