// The hooks of node:module by which imports of `net` get another module. Node without `module.registerHooks` loads this
// file in a thread of its own.

interface Resolved {
  readonly url: string
  readonly format?: string
  readonly shortCircuit?: boolean
}

interface ResolveContext {
  readonly parentURL?: string
  readonly conditions?: readonly string[]
}

interface Loaded {
  readonly format: string
  readonly source?: string
  readonly shortCircuit?: boolean
}

/** What replaces `net`. */
export interface Replacement {
  /** The URL of the folder whose modules still get Node's own. */
  readonly own: string
  /** No file has this URL. */
  readonly url: string
  readonly format: 'module' | 'commonjs'
  readonly source: string
}

let replacement: Replacement

export function initialize(data: Replacement): void {
  replacement = data
}

export function resolve(
  specifier: string,
  context: ResolveContext,
  next: (specifier: string, context: ResolveContext) => Resolved,
): Resolved {
  const { parentURL = '', conditions = [] } = context
  const isOurs =
    isNet(specifier) &&
    // `require` itself is replaced, and `require.resolve` still returns 'net'.
    !conditions.includes('require') &&
    !isOwn(parentURL)
  return isOurs ? { url: replacement.url, format: replacement.format, shortCircuit: true } : next(specifier, context)
}

export function load(url: string, context: object, next: (url: string, context: object) => Loaded): Loaded {
  const { format, source } = replacement
  return url === replacement.url ? { format, source, shortCircuit: true } : next(url, context)
}

export function isNet(specifier: string): boolean {
  return specifier === 'net' || specifier === 'node:net'
}

/** Whether a module belongs to this package, or to another copy of it. */
function isOwn(url: string): boolean {
  return url.startsWith(replacement.own) || url.includes('/node_modules/m-socket/dist/')
}
