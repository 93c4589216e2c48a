import { execFileSync } from 'node:child_process'

/** A key with its certificate for localhost and 127.0.0.1, in PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

const SUBJECT = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']

let made: Certificate | undefined

/** A certificate that has signed itself: openssl(1). One for each process. */
export function certificate(): Certificate {
  if (made) return made
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', '-']
  const pem = execFileSync('openssl', ['req', '-x509', ...key, '-days', '2', ...SUBJECT], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const start = pem.indexOf('-----BEGIN CERTIFICATE')
  const first = pem.slice(0, start)
  made = first.includes('PRIVATE KEY')
    ? { key: first, cert: pem.slice(start) }
    : { key: pem.slice(pem.indexOf('-----BEGIN PRIVATE')), cert: pem.slice(start, pem.indexOf('-----BEGIN PRIVATE')) }
  return made
}
