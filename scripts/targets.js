// The published packages: one for each target in the `napi` field of package.json.

import { readFileSync } from 'node:fs'

export const ROOT = new URL('..', import.meta.url).pathname

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

export function readJson(path) {
  return JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))
}
