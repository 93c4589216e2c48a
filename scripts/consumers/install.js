// The packages that the programs use: in a folder of their own under .cache, with copies of the programs, which import
// from there.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'

import { ROOT } from '../targets.js'

const source = `${ROOT}__test__/consumers`
const folder = `${ROOT}.cache/consumers`

export const programsFolder = `${folder}/programs`

export function install() {
  mkdirSync(folder, { recursive: true })
  if (!isInstalled()) {
    rmSync(`${folder}/node_modules`, { recursive: true, force: true })
    for (const name of ['package.json', 'package-lock.json']) cpSync(`${source}/${name}`, `${folder}/${name}`)
    const { status, stdout, stderr } = spawnSync(
      'npm',
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder],
      { encoding: 'utf8' },
    )
    if (status !== 0) throw new Error(`${stdout}${stderr}the packages could not be installed`)
  }
  rmSync(programsFolder, { recursive: true, force: true })
  cpSync(`${source}/programs`, programsFolder, { recursive: true })
}

/** Whether what is there comes from the same lock file. npm writes this file at the end of an installation. */
function isInstalled() {
  const lock = `${folder}/package-lock.json`
  if (!existsSync(`${folder}/node_modules/.package-lock.json`) || !existsSync(lock)) return false
  return readFileSync(lock, 'utf8') === readFileSync(`${source}/package-lock.json`, 'utf8')
}
