// Preloaded into a test of Node's: `require` and `import` of net get `m-socket/net`. Node's own modules do not load
// each other this way, and keep their own.

const Module = require('node:module')
const { pathToFileURL } = require('node:url')
const path = require('node:path')

const ROOT = path.resolve(__dirname, '../..')
const OURS = path.join(ROOT, 'dist/net/index.js')
const OURS_URL = pathToFileURL(OURS).href
const ROOT_URL = pathToFileURL(ROOT + path.sep).href

const isNet = (name) => name === 'net' || name === 'node:net'

const load = Module._load
Module._load = function (request, parent, ...rest) {
  if (!isNet(request) || parent?.filename?.startsWith(ROOT + path.sep)) return load.call(this, request, parent, ...rest)
  const module = load.call(this, OURS, parent, ...rest)
  // A Node that knows no export named `module.exports` gives the namespace.
  return module.default ?? module
}

// A test that is an ES module; Node 20 has no hooks in the same thread.
if (process.argv[1]?.endsWith('.mjs')) {
  if (Module.registerHooks)
    Module.registerHooks({
      resolve: (specifier, context, next) =>
        isNet(specifier) && context.parentURL && !context.parentURL.startsWith(ROOT_URL)
          ? next(OURS_URL, context)
          : next(specifier, context),
    })
  else
    Module.register(
      `data:text/javascript,${encodeURIComponent(`
        export const resolve = (specifier, context, next) =>
          (specifier === 'net' || specifier === 'node:net') && !context.parentURL?.startsWith(${JSON.stringify(ROOT_URL)})
            ? next(${JSON.stringify(OURS_URL)}, context)
            : next(specifier, context)`)}`,
    )
}
