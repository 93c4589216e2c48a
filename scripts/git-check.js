// Installs the commit that is checked out from git into an empty project, as `npm install git+https://…` does, and uses
// it there. npm fetches the development dependencies and builds the addon: it takes a minute or two, and needs Rust.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import { ROOT } from './targets.js'

const project = mkdtempSync(join(tmpdir(), 'm-socket-git-'))
process.on('exit', () => rmSync(project, { recursive: true, force: true }))

const commit = run('git', ['rev-parse', 'HEAD'], ROOT).trim()
writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
cpSync(`${ROOT}scripts/pack-check`, project, { recursive: true })
run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `git+file://${ROOT}#${commit}`], project)
run(process.execPath, ['module.mjs'], project)
console.log(`ok      installed from git: ${commit.slice(0, 7)}`)

function run(command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (error ?? status !== 0) {
    console.log(`${stdout}${stderr}\nFAILED  ${command} ${args.join(' ')}: ${error ?? status}`)
    process.exit(1)
  }
  return stdout
}
