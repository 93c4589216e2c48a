// Checks the built documentation, as TAP: links and anchors by reading all pages, and how they look in a real browser, at
// two widths and in both themes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { WIDTHS, launch, openPage, tooWide, violations, visit } from './check/browser.js'
import {
  brokenLinks,
  htmlPages,
  internalClasses,
  optionsOn,
  rawMarkdown,
  readSite,
  repeatedAnchors,
} from './check/pages.js'
import { addressOf, serveSite } from './serve.js'

let count = 0

/** Reports a test, which passes when it has found no problems. */
async function test(name, problems) {
  let found
  try {
    found = await problems()
  } catch (error) {
    found = [error.stack]
  }
  count += 1
  console.log(`${found.length === 0 ? 'ok' : 'not ok'} ${count} - ${name}`)
  for (const problem of found.slice(0, 20)) console.log(`# ${problem}`)
  if (found.length > 0) process.exitCode = 1
}

const site = readSite()
const pages = htmlPages(site)

/** One page of each kind, where there is one. */
const KINDS = {
  landing: /^index\.html$/,
  guide: /^guide\.html$/,
  overview: /^overview\.html$/,
  recipe: /^recipes\//,
  'page with tables': /^pages\/options\.html$/,
  'page with charts': /^pages\/performance\.html$/,
  'page with code': /^pages\/architecture\.html$/,
  program: /^examples\/chat/,
  class: /^classes\/Connection\.html$/,
  function: /^functions\/listen\.html$/,
  interface: /^interfaces\/Handlers\.html$/,
  type: /^types\/ListenOptions\.html$/,
  variable: /^variables\//,
  module: /^modules\/m-socket/,
}
/** What has no colours that the others do not have. */
const LIKE = new Set(['interface', 'module', 'type', 'variable'])

const kinds = Object.entries(KINDS).flatMap(([kind, pattern]) => {
  const page = pages.find((path) => pattern.test(path))
  return page === undefined ? [] : [{ kind, page }]
})

await test('there are pages of each kind', () =>
  Object.keys(KINDS).filter((name) => !kinds.some(({ kind }) => kind === name)))
await test('each link leads to a file and an anchor', () => brokenLinks(site))
await test('no page has an anchor twice', () => repeatedAnchors(site))
await test('no page shows the marks of Markdown', () => rawMarkdown(site))
await test('no internal class is in a hierarchy', () => internalClasses(site))
await test('the page of listen shows all its options', () => {
  const shown = optionsOn(site, 'functions/listen.html')
  const some = [
    'port',
    'path',
    'fd',
    'listener',
    'backlog',
    'socket',
    'maxConnections',
    'proxyProtocol',
    'noDelay',
    'data',
  ]
  return some.filter((name) => !shown.includes(name)).map((name) => `${name} is missing`)
})
await test('docs:serve prints its address, and ends on SIGINT', async () => {
  const serve = fileURLToPath(new URL('serve.js', import.meta.url))
  const child = spawn(process.execPath, [serve, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  const { status } = await fetch(String(line).trim())
  child.kill('SIGINT')
  const [code] = await once(child, 'exit')
  return status === 200 && code === 0 ? [] : [`status ${status}, exit code ${code}`]
})

const server = await serveSite(0)
const browser = await launch()
const base = addressOf(server)
try {
  await inBrowser()
} finally {
  await browser.close()
  server.close()
  server.closeAllConnections()
}
console.log(`1..${count}`)

async function inBrowser() {
  for (const [width, viewport] of Object.entries(WIDTHS)) {
    const light = await openPage(browser, { viewport, colorScheme: 'light' })
    const dark = await openPage(browser, { viewport, colorScheme: 'dark' })
    await test(`${width}: pages of each kind without an error, and none scrolls sideways`, async () => {
      const wide = await visitAll(
        light.page,
        kinds.map(({ page }) => page),
      )
      return [...wide, ...light.takeErrors()]
    })
    await Promise.all(Object.entries({ light, dark }).map(([theme, { page }]) => lookAt(page, width, theme)))
    await test(`${width}: the search finds connect`, () => search(light.page))
    await test(`${width}: the landing page leads to the guide`, () => openGuide(light.page))
    await test(`${width}: no error in all of this`, () => [...light.takeErrors(), ...dark.takeErrors()])
    if (width === 'phone') await test(`phone: none of ${pages.length} pages scrolls sideways`, scrollAll)
    if (width === 'phone') await test('phone: the menu opens and shows the layers', () => openMenu(light.page))
    else await test('a picture follows the theme that is chosen', () => chooseTheme(light.page))
    await Promise.all([light, dark].map(({ page }) => page.context().close()))
  }
}

async function visitAll(page, paths) {
  const wide = []
  for (const path of paths) {
    await visit(page, base + path)
    wide.push(...(await tooWide(page)))
  }
  return wide
}

/** Without their scripts, which is faster: the layout is the same. */
async function scrollAll() {
  const { page } = await openPage(browser, { viewport: WIDTHS.phone, javaScriptEnabled: false })
  const wide = []
  for (const path of pages) {
    await page.goto(base + path)
    wide.push(...(await tooWide(page)))
  }
  await page.context().close()
  return wide
}

/** On a phone, what is beside the text is hidden, and the text is the same. */
async function lookAt(page, width, theme) {
  const looked = kinds.filter(
    ({ kind }) => kind === 'landing' || (width === 'desktop' && !(theme === 'dark' && LIKE.has(kind))),
  )
  for (const { kind, page: path } of looked) {
    await test(`${width}, ${theme}: ${kind}: accessible, with enough contrast`, async () => {
      await visit(page, base + path)
      return violations(page, { coloursOnly: theme === 'dark', within: kind === 'landing' ? 'body' : '.col-content' })
    })
  }
}

async function search(page) {
  await visit(page, base)
  await page.click('#landing-search')
  await page.fill('#tsd-search-input', 'connect')
  await page.waitForSelector('#tsd-search-results a')
  const results = await page.$$eval('#tsd-search-results a', (links) => links.map((link) => link.getAttribute('href')))
  if (!results.some((href) => href.endsWith('functions/connect.html'))) return results
  await page.click('#tsd-search-results a[href$="functions/connect.html"]')
  await page.waitForURL(/functions\/connect\.html/)
  return []
}

async function openGuide(page) {
  await visit(page, base)
  await page.click('.landing-main')
  await page.waitForSelector('h1')
  return page.url().endsWith('/guide.html') ? [] : [page.url()]
}

async function openMenu(page) {
  await visit(page, base)
  await page.click('#tsd-toolbar-menu-trigger')
  await page.waitForSelector('#tsd-nav-container >> text=Handlers', { state: 'visible' })
  return tooWide(page)
}

async function chooseTheme(page) {
  await visit(page, `${base}pages/performance.html`)
  await page.click('.settings summary')
  const problems = []
  for (const theme of ['dark', 'light']) {
    await page.selectOption('#tsd-theme', theme)
    const shown = await page.$$eval('main img, .col-content img', (images) =>
      images.filter((image) => getComputedStyle(image).display !== 'none').map((image) => image.getAttribute('src')),
    )
    problems.push(...shown.filter((source) => !source.includes(theme)).map((source) => `${theme}: ${source}`))
    if (shown.length === 0) problems.push(`${theme}: no picture`)
  }
  return problems
}
