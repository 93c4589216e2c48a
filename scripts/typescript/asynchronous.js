// Hooks of module.register(), which run in a thread of their own.

import { isTypeScript, transformed, typescriptFor } from './source.js'

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    return next(typescriptFor(specifier, error), context)
  }
}

export async function load(url, context, next) {
  return isTypeScript(url) ? transformed(url, context, next) : next(url, context)
}
