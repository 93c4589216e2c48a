// Builds the load generator, the bare loop, and the servers that run on Node.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The compiled servers. A TypeScript loader would transform the library too, and slow it down. */
export const SERVERS = fileURLToPath(new URL('../.cache/servers/', import.meta.url))

const target = fileURLToPath(new URL('../.cache/load/', import.meta.url))

export const LOAD = `${target}release/load`
export const BARE = `${target}release/bare`

/** Builds everything that has changed. */
export function build(): void {
  buildServers()
  const manifest = fileURLToPath(new URL('load/Cargo.toml', import.meta.url))
  const args = ['build', '--release', '--quiet', '--locked', '--manifest-path', manifest, '--target-dir', target]
  const { status, error } = spawnSync('cargo', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (error) throw new Error('cargo is missing: install Rust 1.88 or later, see rustup.rs')
  if (status !== 0) throw new Error('the load generator could not be built')
}

function buildServers(): void {
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
  const project = fileURLToPath(new URL('tsconfig.json', import.meta.url))
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error('the servers could not be compiled')
}
