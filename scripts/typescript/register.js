// `node --import ./scripts/typescript/register.js FILE.ts` runs a TypeScript program of this project. JavaScript is left
// alone: a loader that transforms node_modules, too, more than doubles the CPU time in which a process starts.

import * as module from 'node:module'
import process from 'node:process'

import { isTypeScript, transformed, typescriptFor } from './source.js'

process.setSourceMapsEnabled(true)

// Node 20 lacks module.registerHooks() (added in 22.15 and 23.5).
if (module.registerHooks) module.registerHooks({ resolve, load })
else module.register('./asynchronous.js', import.meta.url)

function resolve(specifier, context, next) {
  try {
    return next(specifier, context)
  } catch (error) {
    return next(typescriptFor(specifier, error), context)
  }
}

function load(url, context, next) {
  return isTypeScript(url) ? transformed(url, context, next) : next(url, context)
}
