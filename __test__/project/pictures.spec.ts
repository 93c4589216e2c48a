import { fileURLToPath } from 'node:url'

import test from 'ava'

import { files, outdated } from '../../scripts/pictures.js'
import { THEMES, text } from '../../scripts/pictures/drawing.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

test('the_pictures_are_as_the_script_draws_them', (t) => {
  t.is(Object.keys(files()).length, 6)
  t.deepEqual(outdated(ROOT), [], 'npm run pictures')
})

test('a_missing_picture_is_reported', (t) => {
  t.deepEqual(outdated('/nonexistent'), Object.keys(files()))
})

test('the_text_of_both_themes_has_the_contrast_that_WCAG_asks_for', (t) => {
  for (const [name, { text, faint, ours, others, band }] of Object.entries(THEMES)) {
    // Of GitHub, and of the site that typedoc makes.
    const pages = name === 'light' ? ['#ffffff', '#f2f4f8'] : ['#0d1117', '#2b2e33']
    for (const behind of [...pages, band, ours.fill, others.fill])
      t.true(contrast(text, behind) >= 4.5, `${name} ${behind}`)
    for (const behind of [...pages, band]) t.true(contrast(faint, behind) >= 4.5, `${name}, faint, ${behind}`)
  }
})

test('words_that_do_not_fit_are_refused', (t) => {
  t.throws(() => text({ x: 0, y: 0, fill: '#000000', within: 50 }, 'a long line'), { instanceOf: RangeError })
  t.is(text({ x: 0, y: 0, fill: '#000000' }, 'a < b'), '<text x="0" y="0" fill="#000000">a &lt; b</text>')
})

/** The ratio of WCAG 2.2, from 1 to 21. */
function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].toSorted((a, b) => a - b) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
