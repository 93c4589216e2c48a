// What the sources of lib/ offer and a page has to explain, found by TypeScript's compiler API: members of exported types
// and classes, events, diagnostics channels, codes of errors and of warnings, environment variables.

import { join } from 'node:path'

import ts from 'typescript'

const ENTRIES = ['lib/index.ts', 'lib/net/index.ts']
/** JavaScript that is shipped beside lib/. */
const SHIPPED = ['loadable.js', 'index.js']

/**
 * @typedef {{ kind: string, owner: string, name: string, path: string }} Item
 * `kind` is one of export, member, event, channel, code, variable; `owner` the type that has a member, or ''.
 */

/**
 * @param {string} root the folder that has lib/
 * @param {string[]} entries the modules whose exports are public
 * @returns {Item[]}
 */
export function collect(root, entries = ENTRIES, shipped = SHIPPED) {
  const program = ts.createProgram(
    [...entries, ...shipped].map((path) => join(root, path)),
    { ...compilerOptions(root), allowJs: true, noEmit: true },
  )
  const checker = program.getTypeChecker()
  const context = { root, checker, isOwn: (file) => file.startsWith(join(root, 'lib/')) }
  const sources = program
    .getSourceFiles()
    .filter(({ fileName }) => context.isOwn(fileName) || shipped.some((path) => fileName === join(root, path)))
  const modules = entries.map((path) => program.getSourceFile(join(root, path)))
  const symbols = modules.map((module) => exportsOf(module, context))
  const exported = new Set(symbols.flat())
  return unique([
    ...symbols.flatMap((each, at) => publicItems(each, exported, entries[at].includes('/net/') ? 'net.' : '', context)),
    ...sources.flatMap((source) => namedInCode(source, context)),
  ])
}

function compilerOptions(root) {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  return ts.convertCompilerOptionsFromJson(config?.compilerOptions ?? {}, root).options
}

function unique(items) {
  return [...new Map(items.map((item) => [`${item.kind} ${item.owner}.${item.name}`, item])).values()]
}

/** The exports of a module that are declared in lib/. */
function exportsOf(module, context) {
  const { checker } = context
  return checker
    .getExportsOfModule(checker.getSymbolAtLocation(module))
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
    .filter((symbol) => isPublic(symbol, context))
}

/** Values, and the members of types and classes. */
function publicItems(symbols, exported, prefix, context) {
  const { Value, Type } = ts.SymbolFlags
  return symbols.flatMap((symbol) => [
    ...(symbol.flags & Value && isNamed(symbol) && !isAbstract(symbol) ? [itemOf('export', '', symbol, context)] : []),
    ...(symbol.flags & Type ? membersOf(symbol, exported, prefix, context) : []),
  ])
}

/** An abstract class is exported as a type. */
function isAbstract({ valueDeclaration }) {
  return (ts.getCombinedModifierFlags(valueDeclaration) & ts.ModifierFlags.Abstract) !== 0
}

function isPublic(symbol, { isOwn, checker }) {
  const [declaration] = symbol.declarations ?? []
  const internal = symbol.getJsDocTags(checker).some(({ name }) => name === 'internal')
  return declaration !== undefined && isOwn(declaration.getSourceFile().fileName) && !internal
}

/** Members that no other exported type declares: those have their own place. */
function membersOf(symbol, exported, prefix, context) {
  const type = context.checker.getDeclaredTypeOfSymbol(symbol)
  const parts = type.isUnion() ? type.types : [type]
  const isClass = (symbol.flags & ts.SymbolFlags.Class) !== 0
  const statics = isClass ? context.checker.getTypeOfSymbol(symbol).getProperties() : []
  return [...parts.filter(isRecord).flatMap((part) => part.getProperties()), ...statics]
    .filter((member) => isPublic(member, context) && isNamed(member))
    .filter((member) => member.declarations.some((each) => isMember(each) && !isElsewhere(each, symbol, exported)))
    .map((member) => itemOf('member', prefix + symbol.name, member, context))
}

function isRecord(type) {
  return (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0
}

/** Not private, and no symbol. */
function isNamed(member) {
  const isPrivate = member.declarations.some(
    (each) => ts.getCombinedModifierFlags(each) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected),
  )
  return !isPrivate && !/^(?:__|#|"|prototype$)/.test(member.name)
}

function isMember(node) {
  return (
    ts.isPropertySignature(node) ||
    ts.isMethodSignature(node) ||
    ts.isPropertyDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isAccessor(node)
  )
}

function isElsewhere(declaration, symbol, exported) {
  const parent = declaration.parent.symbol
  return parent !== undefined && parent !== symbol && exported.has(parent)
}

function itemOf(kind, owner, symbol, { root }) {
  return { kind, owner, name: symbol.name, path: placeOf(symbol.declarations[0], root) }
}

function placeOf(node, root) {
  const source = node.getSourceFile()
  const { line } = source.getLineAndCharacterOfPosition(node.getStart())
  return `${source.fileName.slice(root.length).replace(/^\//, '')}:${line + 1}`
}

/** Events, channels, codes and variables: strings in certain places of the code. */
function namedInCode(source, context) {
  const found = []
  const add = (kind, name, node) => found.push({ kind, owner: '', name, path: placeOf(node, context.root) })
  const visit = (node) => {
    if (ts.isCallExpression(node)) inCall(node, add)
    if (ts.isStringLiteralLike(node) && /^ERR_[A-Z_]+$/.test(node.text)) add('code', node.text, node)
    if (isEnvironment(node.expression)) {
      for (const name of variablesOf(node, context)) add('variable', name, node)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** `x.emit('event')`, `channel('name')`, and `process.emitWarning(text, 'Name')` or `{ type: 'Name' }`. */
function inCall({ expression, arguments: [first, second] }, add) {
  const callee = ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText()
  if (callee === 'emit' && first && ts.isStringLiteralLike(first)) add('event', first.text, first)
  if (callee === 'channel' && first && ts.isStringLiteralLike(first)) add('channel', first.text, first)
  if (callee === 'emitWarning' && second) {
    const type = ts.isObjectLiteralExpression(second)
      ? second.properties.find(({ name }) => name?.getText() === 'type')?.initializer
      : second
    if (type && ts.isStringLiteralLike(type)) add('code', type.text, type)
  }
}

function isEnvironment(node) {
  return node !== undefined && ts.isPropertyAccessExpression(node) && node.getText() === 'process.env'
}

/** The names of `process.env.NAME`, and of `process.env[name]` by the type of `name`. */
function variablesOf(node, { checker, root }) {
  if (ts.isPropertyAccessExpression(node)) return [node.name.text]
  if (!ts.isElementAccessExpression(node)) return []
  const type = checker.getTypeAtLocation(node.argumentExpression)
  const parts = type.isUnion() ? type.types : [type]
  if (parts.every((part) => part.isStringLiteral())) return parts.map(({ value }) => value)
  throw new Error(`${placeOf(node, root)}: the type of the name must be a union of strings`)
}
