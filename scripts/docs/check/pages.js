// What can be checked of the built pages without a browser.

import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import { ROOT } from '../../targets.js'
import { SITE } from '../serve.js'

const LINK = /<(?:a|img|link|script|source|use)\s[^>]*?(?:href|src|srcset)="([^"]*)"/g

/** All files of the site, by their path in it; of pages and pictures with the anchors in them. */
export function readSite() {
  const paths = readdirSync(SITE, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(SITE.length + 1))
  return new Map(
    paths.map((path) => {
      const text = /\.(html|svg)$/.test(path) ? readFileSync(join(SITE, path), 'utf8') : ''
      return [path, { text, ids: [...text.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id) }]
    }),
  )
}

export const htmlPages = (site) => [...site.keys()].filter((path) => path.endsWith('.html'))

/** Links to files and anchors that are not there. */
export function brokenLinks(site) {
  return htmlPages(site).flatMap((page) =>
    [...site.get(page).text.matchAll(LINK)].flatMap(([, link]) => {
      const problem = problemOf(site, page, link.replaceAll('&amp;', '&'))
      return problem === undefined ? [] : [`${page}: ${link}: ${problem}`]
    }),
  )
}

function problemOf(site, page, link) {
  if (/^(https?|mailto):/.test(link)) return undefined
  if (/^[a-z]+:|^\//.test(link)) return 'this works on one machine only'
  const [path, anchor] = link.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)))
  const file = site.get(target) ?? site.get(normalize(join(target, 'index.html')))
  if (file === undefined) return 'there is no such file'
  if (!anchor || file.ids.includes(decodeURIComponent(anchor))) return undefined
  return 'there is no such anchor'
}

/** Anchors that a page has twice. */
export function repeatedAnchors(site) {
  return htmlPages(site).flatMap((page) => {
    const { ids } = site.get(page)
    return ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `${page}: #${id}`)
  })
}

/** Marks of Markdown that a page shows: a fence or a table that is not one. */
export function rawMarkdown(site) {
  return htmlPages(site).flatMap((page) =>
    [...site.get(page).text.matchAll(/<p>(?:```|~~~|\|)[^\n]*/g)].map(([found]) => `${page}: ${found.slice(0, 120)}`),
  )
}

/** Classes of lib/ that have no page, and stand on one as what a class extends or has its members from. */
export function internalClasses(site) {
  const internal = new Set(
    classesOf(join(ROOT, 'lib')).filter(
      (name) => !['classes', 'interfaces'].some((kind) => site.has(`${kind}/${name}.html`)),
    ),
  )
  return htmlPages(site)
    .filter((page) => /^(classes|interfaces|functions|types|variables|modules)\//.test(page))
    .flatMap((page) => {
      const { text } = site.get(page)
      const lists = [
        ...text.matchAll(/<(ul|section) class="[^"]*tsd-hierarchy[^"]*"[^]*?<\/\1>/g),
        ...text.matchAll(INHERITED),
      ]
      const words = new Set(lists.flatMap(([part]) => part.replace(/<[^>]*>/g, ' ').match(/\w+/g)))
      return [...words].filter((word) => internal.has(word)).map((word) => `${page}: ${word}`)
    })
}

const INHERITED = /<p>(?:Inherited from|Overrides|Implementation of) [^]*?<\/p>/g

function classesOf(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => [
      ...readFileSync(join(folder, path), 'utf8').matchAll(/^(?:export )?(?:abstract )?class (\w+)/gm),
    ])
    .map(([, name]) => name)
}

/** The options that the page of a function shows, by their names. */
export const optionsOn = (site, page) =>
  [...site.get(page).text.matchAll(/<div class="options-name"><a [^>]*>([^<]*)<\/a>/g)].map(([, name]) => name)
