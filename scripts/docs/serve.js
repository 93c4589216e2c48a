// Serves the built documentation on the loopback address: `npm run docs:serve -- 8000`. Ends on SIGINT or SIGTERM.

import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { ROOT } from '../targets.js'

export const SITE = join(ROOT, 'docs/api')

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}

async function main(port) {
  if (!existsSync(SITE)) {
    console.error('docs/api is missing: `npm run docs` builds it')
    process.exitCode = 1
    return
  }
  const server = await serveSite(Number(port))
  console.log(addressOf(server))
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      server.close()
      server.closeAllConnections()
    })
  }
}

/** A server of the site, which listens already. */
export async function serveSite(port) {
  const server = createServer((request, response) => void answer(request, response))
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return server
}

export const addressOf = (server) => `http://127.0.0.1:${server.address().port}/`

async function answer({ method, url }, response) {
  const headers = { 'cache-control': 'max-age=5', 'x-content-type-options': 'nosniff' }
  if (method !== 'GET' && method !== 'HEAD') return void response.writeHead(405, headers).end()
  try {
    const path = await fileOf(new URL(url, 'http://localhost').pathname)
    const body = await readFile(path)
    const type = TYPES[extname(path)] ?? 'text/plain'
    response.writeHead(200, { ...headers, 'content-type': `${type}; charset=utf-8`, 'content-length': body.length })
    response.end(method === 'HEAD' ? undefined : body)
  } catch {
    response.writeHead(404, { ...headers, 'content-type': 'text/plain' }).end('not found\n')
  }
}

/** The file of a path; no `..` leads out of the site. */
async function fileOf(pathname) {
  const path = join(SITE, normalize(`/${decodeURIComponent(pathname)}`))
  return (await stat(path)).isDirectory() ? join(path, 'index.html') : path
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv[2] ?? '8080')
