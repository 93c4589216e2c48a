// A key and a self-signed certificate for `localhost`, made when first asked for.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

let made

export function certificate() {
  return (made ??= make())
}

function make() {
  const folder = mkdtempSync(join(tmpdir(), 'consumers-'))
  try {
    const [keyFile, certFile] = ['key.pem', 'cert.pem'].map((name) => join(folder, name))
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'].concat(
        ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
        ['-keyout', keyFile, '-out', certFile],
      ),
      { stdio: 'ignore' },
    )
    return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
