// The plugin of typedoc that makes the API reference a site: groups by layer, the pages of docs/ beside the classes that
// they are about, options shown where a function takes them, and no class that is not exported.

import {
  Application,
  Comment,
  CommentTag,
  Converter,
  KindRouter,
  PageEvent,
  ReflectionFlag,
  ReflectionKind,
} from 'typedoc'

import { layerOfSource } from './layers.js'
import { addLinked, prepare, sortPages, urlOfPage } from './pages.js'
import { SiteTheme } from './theme.js'

const PACKAGE = 'm-socket'

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.renderer.defineTheme('site', SiteTheme)
  app.renderer.defineRouter('site', SiteRouter)
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => prepare(document))
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, declaration) => mergeMain(declaration))
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => addLinked(app.converter, project), 20_000)
  // Before typedoc makes its groups, at -100.
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => each(project, [hideInternals, assignLayer]), -50)
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => sortPages(project), -200)
  app.renderer.on(PageEvent.END, finish)
  // Options that are set earlier are overwritten by those of the files.
  app.on(Application.EVENT_BOOTSTRAP_END, () => app.options.setValue('markdownItLoader', nameHeadings))
}

/** What `import from 'm-socket'` gives stands at the top. */
function mergeMain(module) {
  if (!module.kindOf(ReflectionKind.Module) || module.name !== 'index') return
  module.comment = new Comment([], [new CommentTag('@mergeModuleWith', [{ kind: 'text', text: '<project>' }])])
}

/** Lets the anchor of a heading have its code in it, which typedoc leaves out. */
function nameHeadings(parser) {
  parser.core.ruler.push('code-in-headings', ({ tokens }) => {
    for (const { children } of tokens) {
      for (const child of children ?? []) {
        if (child.type === 'code_inline') child.children = [{ type: 'text', content: child.content }]
      }
    }
  })
}

class SiteRouter extends KindRouter {
  /** The constants of the kernel are on one page. */
  getPageKind(target) {
    const isConstant = target.kind === ReflectionKind.Variable && target.parent.kind === ReflectionKind.Namespace
    return isConstant ? undefined : super.getPageKind(target)
  }

  getIdealBaseName(reflection) {
    // Pages of docs/ have short addresses.
    return reflection.isDocument() ? urlOfPage(reflection) : super.getIdealBaseName(reflection)
  }
}

function each(project, actions) {
  for (const reflection of Object.values(project.reflections)) {
    for (const action of actions) action(reflection)
  }
}

/** A base class that is not exported is how the library is made, and not what it is. */
function hideInternals(reflection) {
  for (const key of ['inheritedFrom', 'overwrites', 'implementationOf']) {
    if (!isInternal(reflection[key])) continue
    delete reflection[key]
    if (key === 'inheritedFrom') reflection.setFlag(ReflectionFlag.Inherited, false)
  }
  for (const key of ['extendedTypes', 'implementedTypes']) {
    const exported = reflection[key]?.filter((type) => !isInternal(type))
    if (exported !== undefined) reflection[key] = exported.length > 0 ? exported : undefined
  }
  let level = reflection.typeHierarchy
  if (level === undefined) return
  const levels = []
  for (; level; level = level.next) {
    const types = level.types.filter((type) => !isInternal(type))
    if (types.length > 0) levels.push({ types, isTarget: level.isTarget })
  }
  reflection.typeHierarchy =
    levels.length > 1 ? levels.reduceRight((next, each) => ({ ...each, next }), undefined) : undefined
}

/** Whether a type is of this package and has no page. */
const isInternal = (type) =>
  type?.type === 'reference' && type.reflection === undefined && (type.package ?? PACKAGE) === PACKAGE

function assignLayer(reflection) {
  if (!reflection.isDeclaration() || !reflection.parent.isProject()) return
  const source = reflection.sources?.[0]
  const layer = layerOfSource(source.fileName.replace(/^lib\//, ''))
  if (layer === undefined) throw new Error(`${source.fileName} is in no layer of scripts/docs/layers.js`)
  reflection.comment ??= new Comment()
  reflection.comment.blockTags.push(new CommentTag('@group', [{ kind: 'text', text: layer.name }]))
}

const PICTURE =
  /<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]*)"\s*\/?>\s*<img ([^>]*?)src="([^"]*)"([^>]*?)\s*\/?>\s*<\/picture>/g

const TABLE = /<table>[^]*?<\/table>/g

/** A picture follows the theme that was chosen, and not that of the system. What is wide scrolls, also by keyboard. */
function finish(page) {
  page.contents = page.contents
    .replace(PICTURE, (_all, dark, before, light, after) =>
      [
        ['light-only', light],
        ['dark-only', dark],
      ]
        .map(([name, source]) => `<img class="${name}" loading="lazy" ${before}src="${source}"${after}>`)
        .join(''),
    )
    .replace(TABLE, '<div class="wide" tabindex="0">$&</div>')
    .replaceAll('<pre>', '<pre tabindex="0">')
}
