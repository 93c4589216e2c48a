// Runs before `npm publish`: every binary exists and is within the limits, and all packages have the same version.
// Copies the licences into the packages.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'

import { copyNotices, manifest, readJson, ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

copyNotices()
const built = TARGETS.filter(({ path }) => existsSync(path))
const problems = TARGETS.filter((target) => !built.includes(target)).map(({ path }) => `${path} is missing`)
for (const { folder } of TARGETS) {
  const { version } = readJson(`${folder}/package.json`)
  if (version !== manifest.version) problems.push(`${folder} has version ${version}, the root ${manifest.version}`)
}
// An installation from git packs it; published, each platform has a package for it.
for (const { file } of TARGETS) if (existsSync(file)) problems.push(`${file} would be packed into the root: remove it`)
if (spawnSync(process.execPath, ['scripts/inspect-binaries.js'], { stdio: 'inherit' }).status !== 0)
  problems.push('a binary exceeds the limits')
for (const problem of problems) console.log(`FAILED  ${problem}`)
console.log(`${built.length} of ${TARGETS.length} binaries`)
process.exit(problems.length === 0 ? 0 : 1)
