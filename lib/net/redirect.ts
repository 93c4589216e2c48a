import Module from 'node:module'

import net from './index.js'
import * as hooks from './module-hooks.js'

const NAMES = Object.keys(net)

/** The module that is imported instead of `net`. `process.getBuiltinModule` is the one of `redirect`. */
const ES_MODULE = `const net = process.getBuiltinModule('net')
export { net as default, net as 'module.exports' }
export const { ${NAMES.join(', ')} } = net`

/**
 * The same for a Node without `registerHooks`: what other hooks compile there requires through the hooks, and can
 * require nothing but CommonJS. Node finds the named exports in the text.
 */
const COMMON_JS = `${NAMES.map((name) => `exports.${name} = undefined`).join('\n')}
module.exports = process.getBuiltinModule('net')`

/** What @types/node of Node 20 lacks. */
interface ModuleInternals {
  _load: (request: string, parent: unknown, isMain: boolean) => unknown
  registerHooks?: (functions: Pick<typeof hooks, 'resolve' | 'load'>) => unknown
}

const internals = Module as unknown as ModuleInternals

/** Replaces `net` and `node:net` for everything in this thread but Node itself and this package. */
export function redirect(): void {
  replaceRequired()
  replaceImported()
}

function replaceRequired(): void {
  const { getBuiltinModule } = process
  const { _load } = internals
  process.getBuiltinModule = function (id: string) {
    return hooks.isNet(id) ? net : getBuiltinModule(id)
  } as typeof getBuiltinModule
  internals._load = function (request, parent, isMain) {
    return hooks.isNet(request) ? net : _load.call(this, request, parent, isMain)
  }
}

function replaceImported(): void {
  const common = { own: new URL('../', import.meta.url).href, url: new URL('node-net.js', import.meta.url).href }
  if (internals.registerHooks) {
    hooks.initialize({ ...common, format: 'module', source: ES_MODULE })
    internals.registerHooks({ resolve: hooks.resolve, load: hooks.load })
  } else {
    const data: hooks.Replacement = { ...common, format: 'commonjs', source: COMMON_JS }
    Module.register<hooks.Replacement>('./module-hooks.js', import.meta.url, { data })
  }
}
