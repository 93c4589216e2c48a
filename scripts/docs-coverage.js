// Compares docs/ with the sources: every member of an exported type, handler, event, diagnostics channel, code of an error
// or of a warning, and environment variable has to stand as code on the page that scripts/docs-coverage/places.js names.
// `--list` prints what the sources offer, and where it is explained.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { collect } from './docs-coverage/collect.js'
import { PAGE_OF_KIND, pageOfType } from './docs-coverage/places.js'
import { ROOT } from './targets.js'

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))

/**
 * What the pages lack of what the sources offer.
 * @param {import('./docs-coverage/collect.js').Item[]} items
 * @param {Record<string, string>} pages the texts by file name
 * @returns {string[]} a line for each
 */
export function missing(items, pages) {
  const code = Object.fromEntries(Object.entries(pages).map(([name, text]) => [name, codeOf(text)]))
  return items.flatMap((item) => {
    const { kind, owner, name, path } = item
    const page = placeOf(item)
    const title = owner === '' ? `${kind} ${name}` : `${owner}.${name}`
    if (page === undefined) return [`${path}: ${title}: places.js names no page for ${owner}`]
    const places = page === '*' ? Object.keys(code) : [page]
    if (places.some((place) => has(code[place] ?? '', name))) return []
    return [`${path}: ${title} is missing in ${page === '*' ? 'docs' : `docs/${page}`}`]
  })
}

/** The page of an item; `*` is any, undefined none. */
function placeOf({ kind, owner }) {
  if (kind === 'member') return pageOfType(owner)
  return PAGE_OF_KIND[kind] ?? '*'
}

/** What a page has in code spans, and in braces, as the types of parameters are written. */
function codeOf(text) {
  const prose = text.replaceAll(/^```.*?^```/gms, '')
  return [...prose.matchAll(/``.+?``|`[^`]+`|\{[^}\n]+\}|\bERR_[A-Z_]+/gs)].map(([code]) => code).join('\n')
}

function has(code, name) {
  return new RegExp(`(?<![\\w$])${name.replaceAll(/[.$]/g, '\\$&')}(?![\\w$])`).test(code)
}

/** The pages of a checkout, by file name. */
export function pagesOf(root) {
  const names = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(root, 'docs', name), 'utf8')]))
}

function main(args) {
  const items = collect(ROOT)
  if (args.includes('--list')) {
    for (const item of items)
      console.log(`${item.kind}\t${item.owner}\t${item.name}\t${placeOf(item) ?? '-'}\t${item.path}`)
    return
  }
  const lacking = missing(items, pagesOf(ROOT))
  for (const line of lacking) console.log(line)
  console.log(
    lacking.length === 0
      ? `docs/ explains all ${items.length} names`
      : `${lacking.length} of ${items.length} names are missing`,
  )
  process.exitCode = lacking.length === 0 ? 0 : 1
}
