// Writes the URL of the repository into all manifests, just before publishing. The provenance of npm requires the
// repository that the workflow runs in, which only the workflow knows. `node scripts/repository.js URL`

import { writeFileSync } from 'node:fs'
import process from 'node:process'

import { readJson, ROOT, TARGETS } from './targets.js'

process.chdir(ROOT)

const url = process.argv[2]
if (!URL.canParse(url)) {
  console.log('usage: node scripts/repository.js URL')
  process.exit(1)
}
for (const folder of ['.', ...TARGETS.map((target) => target.folder)]) {
  const manifest = { ...readJson(`${folder}/package.json`), repository: { type: 'git', url: `git+${url}.git` } }
  writeFileSync(`${folder}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`)
}
