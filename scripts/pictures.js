// Draws the pictures of the docs, docs/pictures/NAME-light.svg and -dark.svg. `--check` only compares.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { backPressure } from './pictures/back-pressure.js'
import { THEMES } from './pictures/drawing.js'
import { layers } from './pictures/layers.js'
import { wayOfAByte } from './pictures/way-of-a-byte.js'
import { ROOT } from './targets.js'

const PICTURES = { layers, 'way-of-a-byte': wayOfAByte, 'back-pressure': backPressure }

/** The text of each file, by its path in the project. */
export function files() {
  return Object.fromEntries(
    Object.entries(PICTURES).flatMap(([name, draw]) =>
      Object.entries(THEMES).map(([theme, colours]) => [`docs/pictures/${name}-${theme}.svg`, draw(colours)]),
    ),
  )
}

/** The paths whose file in a checkout is not what the script draws. */
export function outdated(root) {
  return Object.entries(files())
    .filter(([path, drawn]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== drawn)
    .map(([path]) => path)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))

function main(args) {
  const paths = outdated(ROOT)
  if (args.includes('--check')) {
    for (const path of paths) console.error(`${path} is not what scripts/pictures.js draws: run npm run pictures`)
    process.exitCode = paths.length === 0 ? 0 : 1
    return
  }
  const drawn = files()
  for (const path of paths) writeFileSync(join(ROOT, path), drawn[path])
}
