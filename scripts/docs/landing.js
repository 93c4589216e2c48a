// The landing page: the guide first, then the recipes, then all else by layer.

import { readFileSync } from 'node:fs'

import { JSX, ReflectionKind } from 'typedoc'

import { LAYERS } from './layers.js'
import { pathOfPage } from './pages.js'

const h = JSX.createElement
const { description } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

/** Kinds that a program calls or makes; the others are types. */
const VALUES = ReflectionKind.Function | ReflectionKind.Class | ReflectionKind.Variable | ReflectionKind.SomeModule

/** The anchor of a layer. */
export const slugOf = (name) =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '')

/** @param {import('typedoc').ProjectReflection} project */
export function landing(context, project) {
  const pages = project.documents ?? []
  const overview = pages.find((page) => pathOfPage(page) === 'README.md')
  const guide = pages.find((page) => pathOfPage(page) === 'docs/guide.md')
  return h(
    'div',
    { class: 'landing' },
    h('h1', null, project.name),
    h('p', { class: 'landing-about' }, `${description}.`),
    h('pre', null, h('code', { class: 'bash' }, `npm install ${project.name}`)),
    h(
      'p',
      { class: 'landing-actions' },
      h('a', { class: 'landing-main', href: context.urlTo(guide) }, 'Read the guide'),
      h(
        'button',
        { type: 'button', id: 'landing-search', onclick: SEARCH },
        context.icons.search(),
        ' Search',
        h('kbd', null, '/'),
      ),
    ),
    program(context, overview),
    h('h2', null, h('a', { href: context.urlTo(guide) }, 'The guide')),
    steps(context, guide),
    project.groups.map((group) => layer(context, group)),
  )
}

const SEARCH = "document.getElementById('tsd-search-trigger').click()"

/** The first program of the README. */
function program(context, overview) {
  const code = overview.content.find(({ kind, text }) => kind === 'code' && text.startsWith('```ts'))
  return h('div', { class: 'tsd-typography' }, h(JSX.Raw, { html: context.markdown([code]) }))
}

/** The headings of the guide, numbered here. */
function steps(context, guide) {
  const text = guide.content.map((part) => part.text).join('')
  const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading.replaceAll('`', ''))
  const slugger = new context.slugger.constructor(context.slugger.options)
  const page = context.urlTo(guide)
  const step = (heading) =>
    h('li', null, h('a', { href: `${page}#${slugger.slug(heading)}` }, heading.replace(/^\d+[.)]? /, '')))
  return h('ol', { class: 'landing-steps' }, headings.map(step))
}

function layer(context, { title, children }) {
  const anchor = slugOf(title)
  const [pages, exports] = split(children, (child) => child.isDocument())
  const [values, types] = split(exports, (child) => child.kindOf(VALUES))
  context.page.pageHeadings.push({ link: `#${anchor}`, text: title, level: 0 })
  return h(
    'section',
    { class: 'landing-layer' },
    h('h2', { id: anchor }, h('a', { href: `#${anchor}` }, title)),
    h('p', null, LAYERS.find(({ name }) => name === title).about),
    pages.length > 0 &&
      h(
        'ul',
        { class: 'landing-pages' },
        pages.map((page) => h('li', null, link(context, page))),
      ),
    values.length > 0 &&
      h(
        'ul',
        { class: 'landing-values' },
        values.map((value) =>
          h('li', null, context.reflectionIcon(value), link(context, value), context.commentShortSummary(value)),
        ),
      ),
    types.length > 0 &&
      h(
        'p',
        { class: 'landing-types' },
        'Types: ',
        types.map((type, at) => [at > 0 && ', ', link(context, type)]),
      ),
  )
}

const link = (context, reflection) => h('a', { href: context.urlTo(reflection) }, reflection.name)

const split = (all, passes) => [all.filter(passes), all.filter((each) => !passes(each))]
