// The default theme of typedoc with a landing page, options in place, and the layer of a page in its path.

import { DefaultTheme, DefaultThemeRenderContext, JSX, ReflectionKind } from 'typedoc'

import { landing, slugOf } from './landing.js'
import { optionLists, takesOptions } from './options.js'

const h = JSX.createElement

export class SiteTheme extends DefaultTheme {
  ContextClass = SiteContext

  /** In each layer, types are in a folder of their own. */
  buildNavigation(project) {
    const isType = ({ kind }) => (kind & (ReflectionKind.Interface | ReflectionKind.TypeAlias)) !== 0
    return super.buildNavigation(project).map((group) => {
      const children = group.children.filter((child) => !isType(child))
      const types = group.children.filter(isType)
      return { ...group, children: types.length > 0 ? [...children, { text: 'Types', children: types }] : children }
    })
  }
}

class SiteContext extends DefaultThemeRenderContext {
  constructor(...given) {
    super(...given)
    const { header, moduleReflection, typeDeclaration, typeDetailsIfUseful } = this
    this.header = (page) => (page.model.isProject() && page.url === 'index.html' ? null : header(page))
    this.moduleReflection = (module) => {
      if (module.isProject()) return landing(this, module)
      return module.kind === ReflectionKind.Namespace ? this.members(module) : moduleReflection(module)
    }
    this.typeDetailsIfUseful = (owner, type) =>
      this.#options(ReflectionKind.Parameter, owner, type) ?? typeDetailsIfUseful(owner, type)
    this.typeDeclaration = (owner, type) =>
      this.#options(ReflectionKind.TypeAlias, owner, type) ?? typeDeclaration(owner, type)
  }

  /** The sources are in the package, and nowhere else. */
  memberSources = () => null

  breadcrumbs = (reflection) => {
    const home = this.relativeURL('index.html')
    const group = reflection.project.groups.find(({ children }) =>
      children.some((child) => isWithin(reflection, child)),
    )
    const ancestors = []
    for (let each = reflection.parent; each && !each.isProject(); each = each.parent) ancestors.unshift(each)
    return h(
      'ul',
      { class: 'tsd-breadcrumb', 'aria-label': 'Breadcrumb' },
      h('li', null, h('a', { href: home }, reflection.project.name)),
      group && h('li', null, h('a', { href: `${home}#${slugOf(group.title)}` }, group.title)),
      ancestors.map((each) => h('li', null, h('a', { href: this.urlTo(each) }, each.name))),
      h('li', null, h('a', { href: '', 'aria-current': 'page' }, reflection.name)),
    )
  }

  #options(kind, owner, type) {
    return owner.kindOf(kind) && takesOptions(type) ? optionLists(this, owner, type) : undefined
  }
}

function isWithin(reflection, ancestor) {
  for (let each = reflection; each; each = each.parent) if (each === ancestor) return true
  return false
}
