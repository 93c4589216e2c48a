// Runs before `npm publish`: every binary exists and is within the limits, and all packages have the same version.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'

import { manifest, readJson, ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const built = TARGETS.filter(({ path }) => existsSync(path))
const problems = TARGETS.filter((target) => !built.includes(target)).map(({ path }) => `${path} is missing`)
for (const { folder } of TARGETS) {
  const { version } = readJson(`${folder}/package.json`)
  if (version !== manifest.version) problems.push(`${folder} has version ${version}, the root ${manifest.version}`)
}
if (spawnSync(process.execPath, ['scripts/inspect-binaries.js'], { stdio: 'inherit' }).status !== 0)
  problems.push('a binary exceeds the limits')
for (const problem of problems) console.log(`FAILED  ${problem}`)
console.log(`${built.length} of ${TARGETS.length} binaries`)
process.exit(problems.length === 0 ? 0 : 1)
