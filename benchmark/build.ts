// Builds the load generator, the bare loop, and the servers that run on Node.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The compiled servers. A TypeScript loader would transform the library too, and slow it down. */
export const SERVERS = fileURLToPath(new URL('../.cache/servers/', import.meta.url))

const target = fileURLToPath(new URL('../.cache/load/', import.meta.url))

export const LOAD = `${target}release/load`
export const BARE = `${target}release/bare`

/** The load of bulk over TLS. */
export const TLS_LOAD = `${SERVERS}tls-load.js`

const tls = fileURLToPath(new URL('../.cache/tls/', import.meta.url))

/** Builds everything that has changed. */
export function build(): void {
  buildServers()
  makeCertificate()
  const manifest = fileURLToPath(new URL('load/Cargo.toml', import.meta.url))
  const args = ['build', '--release', '--quiet', '--locked', '--manifest-path', manifest, '--target-dir', target]
  const { status, error } = spawnSync('cargo', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (error) throw new Error('cargo is missing: install Rust 1.88 or later, see rustup.rs')
  if (status !== 0) throw new Error('the load generator could not be built')
}

/** Compiles the servers. */
export function buildServers(): void {
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
  const project = fileURLToPath(new URL('tsconfig.json', import.meta.url))
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error('the servers could not be compiled')
}

/** The key and certificate of the servers with TLS. Without openssl(1) they cannot be started. */
function makeCertificate(): void {
  if (existsSync(`${tls}cert.pem`)) return
  mkdirSync(tls, { recursive: true })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', `${tls}key.pem`]
  const args = ['req', '-x509', ...key, '-out', `${tls}cert.pem`, '-days', '3650', '-subj', '/CN=localhost']
  spawnSync('openssl', args, { stdio: 'ignore' })
}
