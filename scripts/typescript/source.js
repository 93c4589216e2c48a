// What the hooks of both kinds share.

import process from 'node:process'

import { createResolve, load } from '@oxc-node/core'

// A first resolution makes @oxc-node/core read the settings that its `load` needs.
const CONTEXT = { conditions: ['node', 'import'], importAttributes: {} }
createResolve({ getCurrentDirectory: () => process.cwd() }, import.meta.url, CONTEXT, (url) => ({
  url,
  format: 'module',
}))

export function isTypeScript(url) {
  return url.startsWith('file:') && url.endsWith('.ts')
}

/** What a `load` hook returns for a TypeScript module. */
export function transformed(url, context, next) {
  return load(url, { ...context, format: 'module' }, next)
}

/** `tsc` finds TypeScript where JavaScript is imported. Throws the error of the search if that is not the case here. */
export function typescriptFor(specifier, error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !specifier.endsWith('.js')) throw error
  return specifier.replace(/js$/, 'ts')
}
