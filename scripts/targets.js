// The published packages: one for each target in the `napi` field of package.json.

import { copyFileSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

export const manifest = readJson('package.json')

const CPUS = { x86_64: 'x64', aarch64: 'arm64' }

/** The targets, each with the place of its binary. */
export const TARGETS = manifest.napi.targets.map((triple) => {
  const [arch, , , abi] = triple.split('-')
  const platform = `linux-${CPUS[arch]}-${abi}`
  const file = `${manifest.napi.binaryName}.${platform}.node`
  return {
    triple,
    arch,
    cpu: CPUS[arch],
    abi,
    platform,
    folder: `npm/${platform}`,
    file,
    path: `npm/${platform}/${file}`,
  }
})

/** The target of this machine. The report has a version of glibc only on glibc. */
export const here = TARGETS.find(
  ({ cpu, abi }) =>
    cpu === process.arch && abi === (process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'),
)

/** What every package says of licences; it stands in git once, and packing copies it. */
export const NOTICES = ['LICENSE', 'THIRD-PARTY.md']

/** Copies the notices into the folders of the platform packages. */
export function copyNotices() {
  for (const { folder } of TARGETS) {
    for (const name of NOTICES) copyFileSync(`${ROOT}${name}`, `${ROOT}${folder}/${name}`)
  }
}

export function readJson(path) {
  return JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
}
