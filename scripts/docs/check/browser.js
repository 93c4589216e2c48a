// A headless Chromium that visits the site, and notes what goes wrong.

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'

import { chromium } from 'playwright-core'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome']
export const WIDTHS = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } }

export function launch() {
  const folders = process.env.PATH.split(':')
  const executablePath = PROGRAMS.flatMap((name) => folders.map((folder) => `${folder}/${name}`)).find(existsSync)
  if (executablePath === undefined) throw new Error(`none of ${PROGRAMS.join(', ')} is installed`)
  // The sandbox of Chromium refuses to run as root.
  return chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] })
}

/** A page of a browser with these options, with the errors that it has had since they were last taken. */
export async function openPage(browser, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  let errors = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(`${page.url()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.message}`))
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText
    // What is still on its way when the next page is visited.
    if (reason !== 'net::ERR_ABORTED') errors.push(`${page.url()}: ${request.url()}: ${reason}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) errors.push(`${page.url()}: ${response.url()}: ${response.status()}`)
  })
  const takeErrors = () => {
    const taken = errors
    errors = []
    return taken
  }
  return { page, takeErrors }
}

/** Goes to a page, and waits until its scripts have shown it. */
export async function visit(page, url) {
  await page.goto(url)
  await page.waitForFunction(
    () => document.body.style.display !== 'none' && !document.body.textContent.includes('Loading...'),
  )
}

/** What reaches beyond the right edge of the window. */
export const tooWide = (page) =>
  page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    if (scrollWidth <= clientWidth) return []
    const isWide = (element) => element.getBoundingClientRect().right > clientWidth + 1
    const elements = [...document.querySelectorAll('body :not(pre *, .wide *)')].filter(isWide)
    return [`${location.pathname}: ${scrollWidth} of ${clientWidth} px: ${elements.at(-1)?.outerHTML.slice(0, 120)}`]
  })

/** In the other theme only colours differ. */
const COLOURS = { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } }
/** WCAG 2.1 AA. A folder of typedoc's navigation is a link and can be opened, which the rule that is left out forbids. */
const ALL = {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'],
  rules: { 'nested-interactive': { enabled: false } },
}

/** What axe-core finds: contrast, names, roles and what else WCAG asks for. */
export async function violations(page, { coloursOnly, within }) {
  await page.evaluate(AXE)
  const found = await page.evaluate(
    // oxlint-disable-next-line no-undef
    ([root, options]) => axe.run(root, { ...options, resultTypes: ['violations'] }),
    [within, coloursOnly ? COLOURS : ALL],
  )
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) => `${page.url()}: ${id}: ${html.slice(0, 120)} ${any[0]?.message ?? ''}`),
  )
}
