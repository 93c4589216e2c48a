// The pages of docs/ as documents of typedoc: their titles, groups and addresses.

import { existsSync, readFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import process from 'node:process'

import { DocumentReflection, MinimalSourceFile } from 'typedoc'

import { LAYERS, layerOfPage, placeOfPage } from './layers.js'

/** The path of a page, relative to the project. */
export const pathOfPage = (document) => relative(process.cwd(), document.project.files.getReflectionPath(document))

/** Gives a page its title and its layer. */
export function prepare(document) {
  const path = pathOfPage(document)
  const [first] = document.content
  const [, title] = /^# (.+)\n/.exec(document.content.map(({ text }) => text).join('')) ?? []
  if (title === undefined) throw new Error(`${path} does not begin with a heading`)
  cutHeading(document.content, first)
  document.name = path === 'README.md' ? 'Overview' : title.replaceAll('`', '')
  document.frontmatter.group = layerOfPage(path).name
  for (const part of document.content) {
    if (part.kind === 'code' && part.text.startsWith('```mermaid')) {
      part.kind = 'text'
      part.text = steps(part.text)
    }
  }
}

/** Removes the first line, which can be of several parts: text and code. */
function cutHeading(content) {
  while (!content[0].text.includes('\n')) content.shift()
  content[0].text = content[0].text.slice(content[0].text.indexOf('\n')).trimStart()
}

/** The steps of a diagram of mermaid, as a table: it needs no script, and can be read by all. */
function steps(diagram) {
  const names = new Map([...diagram.matchAll(/\b(\w+)\[([^\]]+)\]/g)].map(([, id, name]) => [id, name]))
  const nameOf = (id) => (id === '[*]' ? '–' : (names.get(id) ?? id.replaceAll('_', ' ')))
  const rows = [...diagram.matchAll(/^ *(\[\*\]|\w+)\S* +--> *(?:\|([^|]+)\| *)?(\[\*\]|\w+)[^:\n]*(?:: *(.*))?$/gm)]
  const table = rows.map(([, from, on, to, when]) => `| ${nameOf(from)} | ${on ?? when ?? ''} | ${nameOf(to)} |`)
  return `| from | when | to |\n| --- | --- | --- |\n${table.join('\n')}\n`
}

/** The address of a page, without `.html`. */
export function urlOfPage(document) {
  const path = pathOfPage(document)
    .replace(/\.md$/, '')
    .replace(/\/README$/, '/index')
  if (path === 'README') return 'overview'
  if (/^docs\/(guide$|recipes\/)/.test(path)) return path.slice('docs/'.length)
  return path.startsWith('docs/')
    ? `pages/${path.slice('docs/'.length)}`
    : path.replace(/^[A-Z]+$/, (name) => name.toLowerCase())
}

/** Makes pages of the programs in examples/, and of other texts, that pages link to. */
export function addLinked(converter, project) {
  const known = new Set((project.documents ?? []).map((document) => project.files.getReflectionPath(document)))
  // The map grows while pages are added: their own links come last.
  for (const absolute of project.files.mediaToPath.values()) {
    const path = relative(process.cwd(), absolute)
    if (known.has(absolute) || !LINKED.test(path) || !existsSync(absolute)) continue
    const text = readFileSync(absolute, 'utf8')
    if (path.endsWith('.md')) converter.addDocument(project, new MinimalSourceFile(text, absolute), path)
    else addProgram(project, absolute, text)
  }
  // What a link to the index of docs/ means here.
  project.files.registerReflectionPath(`${process.cwd()}/docs/README.md`, project)
}

const LINKED = /^(?!docs\/README).*\.md$|^examples\/.*\.ts$/

function addProgram(project, absolute, text) {
  const path = relative(process.cwd(), absolute)
  const content = [{ kind: 'code', text: `\`\`\`ts\n${text}\`\`\`\n` }]
  const document = new DocumentReflection(path, project, content, { group: layerOfPage(path).name })
  project.addChild(document)
  project.registerReflection(document, undefined, absolute)
}

/** Puts the groups into the order of the layers, and the pages of a group into that of its layer, or of its index. */
export function sortPages(project) {
  const place = (group) => LAYERS.findIndex(({ name }) => name === group.title)
  const index = 'docs/recipes/README.md'
  const recipes = existsSync(index) ? readFileSync(index, 'utf8') : ''
  const orders = new Map(
    project.documents.map((document) => {
      const path = pathOfPage(document)
      return [document, [placeOfPage(path), recipes.indexOf(`(${basename(path)})`)]]
    }),
  )
  const order = (child) => orders.get(child) ?? [Infinity, 0]
  const byPlace = (a, b) => (order(a)[0] === order(b)[0] ? order(a)[1] - order(b)[1] : order(a)[0] - order(b)[0])
  project.groups.sort((a, b) => place(a) - place(b))
  for (const group of project.groups) group.children.sort(byPlace)
}
