// The options that a parameter takes, shown where it is taken: of all interfaces, aliases and literals that its type is
// made of.

import { JSX, ReflectionKind } from 'typedoc'

const h = JSX.createElement

/** A section of more options than this is folded where a class has many methods. */
const MANY = 12

/**
 * The sections of a type: one for each alternative, and one for each interface that properties come from.
 *
 * @returns {{ declaration?: import('typedoc').DeclarationReflection, properties: object[], alternative?: boolean }[]}
 */
function sectionsOf(type, declaration) {
  const sections = type.visit({
    intersection: ({ types }) => types.flatMap((each) => sectionsOf(each, declaration)),
    union: (union) => alternativesOf(union) ?? [{ declaration, properties: propertiesOf(union) }],
    conditional: ({ trueType }) => sectionsOf(trueType, declaration),
    reflection: (literal) => [{ declaration, properties: propertiesOf(literal) }],
    reference: ({ reflection: target, typeArguments }) => {
      // Partial<T>, Readonly<T> and the like.
      if (target === undefined) return typeArguments?.length > 0 ? sectionsOf(typeArguments[0], declaration) : []
      if (target.kindOf(ReflectionKind.TypeAlias)) return sectionsOf(target.type, target)
      return propertiesOf({ declaration: target }).map((property) => ({
        declaration: property.inheritedFrom?.reflection?.parent ?? target,
        properties: [property],
      }))
    },
  })
  return merged(sections ?? [])
}

function alternativesOf({ types }) {
  if (!types.every(({ reflection }) => reflection)) return undefined
  return types.map((type) => ({ declaration: type.reflection, properties: propertiesOf(type), alternative: true }))
}

/** All properties of a type, wherever they come from. */
function propertiesOf(type) {
  const all = ({ types }) => types.flatMap(propertiesOf)
  const properties = type.visit?.({
    intersection: all,
    union: all,
    conditional: ({ trueType }) => propertiesOf(trueType),
    reflection: ({ declaration }) => propertiesOf({ declaration }),
    reference: ({ reflection: target, typeArguments }) => {
      if (target === undefined) return typeArguments?.length > 0 ? propertiesOf(typeArguments[0]) : []
      return target.type ? propertiesOf(target.type) : propertiesOf({ declaration: target })
    },
  })
  return unique(properties ?? type.declaration?.children ?? [])
}

const unique = (properties) =>
  [...new Map(properties.toReversed().map((each) => [each.name, each])).values()].toReversed()

function merged(sections) {
  const all = new Map()
  for (const section of sections) {
    const properties = [...(all.get(section.declaration)?.properties ?? []), ...section.properties]
    all.set(section.declaration, { ...section, properties: unique(properties) })
  }
  // Which of several comes first, then what is always taken, then the long list of the kernel's.
  const rank = ({ alternative, properties }) => (alternative ? 0 : properties.length > MANY ? 2 : 1)
  return [...all.values()].filter(({ properties }) => properties.length > 0).sort((a, b) => rank(a) - rank(b))
}

/** Whether all that a type is made of has properties, none of which is a method: not so of a class, or of a string. */
export const takesOptions = (type) =>
  type?.visit({
    intersection: ({ types }) => types.some(takesOptions),
    union: ({ types }) => types.every((each) => each.type === 'reference' && takesOptions(each)),
    reference: ({ reflection }) =>
      reflection?.kindOf(ReflectionKind.TypeAlias)
        ? takesOptions(reflection.type)
        : (reflection?.kindOf(ReflectionKind.Interface) ?? false),
    reflection: ({ declaration }) => (declaration.children?.length ?? 0) > 0,
  }) ?? false

/** The options of a type as lists, headed by the declarations that they come from. */
export function optionLists(context, owner, type) {
  const sections = sectionsOf(type, undefined)
  return sections.length === 0
    ? undefined
    : h(
        'div',
        { class: 'options' },
        sections.map((section, at) => list(context, owner, section, at)),
      )
}

function list(context, owner, section, at) {
  const { declaration, properties, alternative } = section
  const isOpen = properties.length <= MANY || owner.parent?.parent?.kindOf(ReflectionKind.Function)
  return h(
    'details',
    { class: 'options-section', open: isOpen },
    h(
      'summary',
      null,
      alternative && h('em', null, at === 0 ? 'either ' : 'or '),
      declaration?.name,
      h('span', { class: 'options-count' }, ` ${properties.length} option${properties.length === 1 ? '' : 's'}`),
    ),
    declaration && about(context, declaration),
    h(
      'ul',
      { class: 'options-list' },
      inSourceOrder(section).map((each) => option(context, owner, each)),
    ),
  )
}

function about(context, declaration) {
  const link = h('a', { href: context.urlTo(declaration) }, declaration.name)
  return h('div', { class: 'options-about' }, context.commentShortSummary(declaration), h('p', null, 'See ', link, '.'))
}

/** As in the sources: first what stands beside the declaration, then what it takes from elsewhere. */
function inSourceOrder({ declaration, properties }) {
  const fileOf = (reflection) => reflection?.sources?.[0].fileName
  const place = (each) => (fileOf(each) === fileOf(declaration) ? 0 : 1e6) + (each.sources?.[0].line ?? 0)
  return [...properties].sort((a, b) => place(a) - place(b))
}

function option(context, owner, property) {
  const id = context.slugger.slug(`${owner.name}-${property.name}`)
  const signature = property.signatures?.[0]
  return h(
    'li',
    { id },
    h(
      'div',
      { class: 'options-name' },
      h('a', { href: `#${id}`, class: 'tsd-kind-property' }, property.name),
      h('span', { class: 'tsd-signature-symbol' }, property.flags.isOptional ? '?: ' : ': '),
      h(
        'code',
        null,
        signature ? context.memberSignatureTitle(signature, { hideName: true }) : context.type(property.type),
      ),
    ),
    context.commentSummary(signature ?? property),
    context.commentTags(signature ?? property),
    handlers(context, property),
  )
}

/** Of an option that is an object of functions, their names. */
function handlers(context, { type }) {
  const functions = type?.reflection?.kindOf(ReflectionKind.Interface) ? (type.reflection.children ?? []) : []
  if (functions.length === 0 || !functions.every(({ signatures }) => signatures)) return null
  const links = functions.map((each, at) => [at > 0 && ', ', h('a', { href: context.urlTo(each) }, each.name)])
  return h('p', { class: 'tsd-comment' }, 'With ', links, '.')
}
