// The rules for source files, as functions from file contents to findings.

import { posix } from 'node:path'

import ts from 'typescript'

/** The contents of files by path from the root of the project, for example `lib/index.ts`. */
export type Files = Readonly<Record<string, string>>

export interface Import {
  /** The importing file. */
  readonly from: string
  readonly line: number
  /** The imported file, or the name of a package or a built-in module. */
  readonly to: string
  readonly atRunTime: boolean
}

const ROOT = ['native', 'errors', 'abort', 'validate', 'node-version']
const MODEL = ['model', 'loop', 'options', 'observe', ...ROOT]
const PROXY_PROTOCOL = ['proxy-protocol', ...MODEL]
const CONNECTION = ['connection', ...PROXY_PROTOCOL]

/** What each folder and each file of lib/ may import from lib/, at run time and for types. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  native: ROOT,
  errors: ROOT,
  abort: [],
  validate: ROOT,
  register: ['node-version'],
  options: ['options', ...ROOT],
  model: MODEL,
  loop: MODEL,
  observe: MODEL,
  'proxy-protocol': PROXY_PROTOCOL,
  connection: CONNECTION,
  net: ['net', ...CONNECTION],
  relay: ['relay', ...CONNECTION],
  streams: ['streams', 'net', ...CONNECTION],
  http: ['http', 'streams', 'net', ...CONNECTION],
  systemd: ['systemd', ...MODEL],
  index: ['relay', 'systemd', 'http', 'streams', 'net', ...CONNECTION],
}

/** The files outside of lib/ that lib/ imports, each with the only files that may import it. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  'index.js': ['lib/native.ts'],
  'loadable.js': ['lib/index.ts', 'lib/net/linux.ts', 'lib/net/redirect.ts'],
}

/** The imports of lib/ that the rules above forbid. */
export function forbiddenImports(files: Files): string[] {
  return importsOf(files)
    .filter((one) => !isAllowed(one))
    .map(({ from, line, to }) => `${from}:${line} imports ${to}`)
}

function isAllowed({ from, to }: Import): boolean {
  // An import calls every getter of `process`; that of stdin makes descriptor 0 non-blocking.
  if (to.startsWith('node:')) return to !== 'node:process'
  if (!to.startsWith('lib/')) return OUTSIDE[to]?.includes(from) ?? false
  return MAY_IMPORT[partOf(from)]?.includes(partOf(to)) ?? false
}

/** `lib/model/socket.ts` is in `model`, `lib/errors.ts` in `errors`. */
function partOf(path: string): string {
  return path.split('/')[1]!.replace(/\.ts$/, '')
}

/**
 * The first circle of imports at run time, as a list of files that begins and ends with the same one; empty if none.
 */
export function importCircle(files: Files): string[] {
  const imported = new Map<string, string[]>()
  for (const { from, to, atRunTime } of importsOf(files)) {
    if (atRunTime) imported.set(from, [...(imported.get(from) ?? []), to])
  }
  const done = new Set<string>()
  const path: string[] = []

  function visit(file: string): string[] {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    path.push(file)
    for (const next of imported.get(file) ?? []) {
      const circle = visit(next)
      if (circle.length > 0) return circle
    }
    path.pop()
    done.add(file)
    return []
  }

  for (const file of imported.keys()) {
    const circle = visit(file)
    if (circle.length > 0) return circle
  }
  return []
}

export function importsOf(files: Files): Import[] {
  return Object.entries(files).flatMap(([path, text]) => importsOfFile(path, text))
}

/**
 * Only `import type` and `export type` are erased. `verbatimModuleSyntax` keeps `import { type A } from './a.js'` as
 * `import {} from './a.js'`, which loads the file.
 */
function importsOfFile(from: string, text: string): Import[] {
  const source = ts.createSourceFile(from, text, ts.ScriptTarget.Latest)
  const found: Import[] = []

  function add(node: ts.Node, specifier: ts.Node | undefined, atRunTime: boolean): void {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
    found.push({ from, line, to: resolved(from, specifier.text), atRunTime })
  }

  function visit(node: ts.Node): void {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, !node.importClause?.isTypeOnly)
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, !node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, false)
    else if (ts.isExternalModuleReference(node)) add(node, node.expression, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], true)
    ts.forEachChild(node, visit)
  }

  visit(source)
  return found
}

/** Specifiers in lib/ name the compiled file: `./socket.js` is `socket.ts`. */
function resolved(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier
  const path = posix.join(posix.dirname(from), specifier)
  return path.startsWith('lib/') ? path.replace(/\.js$/, '.ts') : path
}

/** The lines of code that match, without comments, as `path:line`. */
export function matchingLines(files: Files, pattern: RegExp): string[] {
  return Object.entries(files).flatMap(([path, text]) =>
    text.split('\n').flatMap((line, at) => (pattern.test(line.replace(/\/\/.*/, '')) ? [`${path}:${at + 1}`] : [])),
  )
}

const TIMERS = /^((set|clear)(Timeout|Immediate|Interval)|queueMicrotask|performance|Date|globalThis)$/

/** The uses of timers and clocks of the runtime that are not imported, as `path:line name`. */
export function globalTimers(files: Files): string[] {
  return Object.entries(files).flatMap(([path, text]) => {
    const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
    const imported = new Set<string>()
    const found: ts.Identifier[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isImportSpecifier(node)) imported.add(node.name.text)
      else if (ts.isIdentifier(node) && isTimer(node)) found.push(node)
      ts.forEachChild(node, visit)
    }
    visit(source)
    return found
      .filter((node) => !imported.has(node.text))
      .map((node) => `${path}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${node.text}`)
  })
}

/** Whether an identifier is a use of a timer, and not the name of a property, of a method or of a type. */
function isTimer(node: ts.Identifier): boolean {
  const { text, parent } = node
  const isName = 'name' in parent && parent.name === node
  if (ts.isPropertyAccessExpression(parent) && isName) return text === 'nextTick'
  return TIMERS.test(text) && !isName && !ts.isTypeNode(parent)
}

/** The `unsafe` blocks without a SAFETY comment in the same line or the eight lines above, as `path:line`. */
export function unexplainedUnsafe(files: Files): string[] {
  return Object.entries(files).flatMap(([path, text]) => {
    const lines = text.split('\n')
    return lines.flatMap((line, at) => {
      if (!/\bunsafe \{/.test(line) || /^\s*\/\//.test(line)) return []
      const above = lines.slice(Math.max(0, at - 8), at + 1).join('\n')
      return above.includes('SAFETY:') ? [] : [`${path}:${at + 1}`]
    })
  })
}

/** The files with more than `most` lines. */
export function longFiles(files: Files, most: number): string[] {
  return Object.entries(files)
    .map(([path, text]) => [path, text.replace(/\n$/, '').split('\n').length] as const)
    .filter(([, count]) => count > most)
    .map(([path, count]) => `${path}: ${count} lines`)
}
