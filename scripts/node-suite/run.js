// Runs files of Node's test suite, each in a process of its own.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const HOOK = fileURLToPath(new URL('hook.cjs', import.meta.url))
const OUTPUT_LIMIT = 200_000
const PORTS = 20

/**
 * The results on Node's own net. What fails is run a second time, alone: it only counts as failed if it fails again.
 *
 * @returns {Promise<Map<string, { outcome: string, reason: string, output: string }>>}
 */
export async function nodeResults(files, settings, reuse) {
  const version = execFileSync(settings.program, ['--version'], { encoding: 'utf8' }).trim()
  const kept = join(settings.suite.root, `results-on-node-${version}.json`)
  const known = new Map(reuse && existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : [])
  const missing = files.filter(({ name }) => !known.has(name))
  const first = await runAll(missing, settings)
  const failed = missing.filter(({ name }) => first.get(name).outcome === 'failed')
  const second = await runAll(failed, { ...settings, jobs: 1 })
  const results = new Map([...known, ...first, ...second])
  writeFileSync(kept, JSON.stringify([...results]))
  return new Map(files.map(({ name }) => [name, results.get(name)]))
}

/** Files of `parallel` run `jobs` at a time, the others one at a time. */
export async function runAll(files, settings) {
  const results = new Map()
  const slots = async (jobs, queue) => {
    const slot = async (_, id) => {
      for (let file = queue.shift(); file; file = queue.shift()) results.set(file.name, await run(file, id, settings))
    }
    await Promise.all(Array.from({ length: jobs }, slot))
  }
  await slots(
    settings.jobs,
    files.filter(({ folder }) => folder === 'parallel'),
  )
  await slots(
    1,
    files.filter(({ folder }) => folder !== 'parallel'),
  )
  return results
}

async function run(file, slot, { suite, program, timeout, onOurs = false }) {
  const temporary = mkdtempSync(join(tmpdir(), 'node-suite-'))
  const env = {
    ...process.env,
    NODE_TEST_DIR: temporary,
    TEST_THREAD_ID: String(slot),
    NODE_COMMON_PORT: String(await freePorts()),
    ...(file.folder === 'parallel' && { TEST_PARALLEL: '1' }),
  }
  delete env.NODE_OPTIONS
  // Under the permission model an addon is loaded only with a flag of its own.
  const needsAddons = onOurs && file.flags.includes('--permission')
  const hook = onOurs ? ['--require', HOOK, ...(needsAddons ? ['--allow-addons'] : [])] : []
  const args = [...hook, ...file.flags, file.path]
  // A process group of its own: what a test leaves running ends with it.
  const child = spawn(program, args, { cwd: suite.root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(0, OUTPUT_LIMIT)))
  let late = false
  const timer = setTimeout(() => ((late = true), endGroup(child.pid)), timeout)
  const [code, signal] = await new Promise((resolve) => child.on('exit', (...how) => resolve(how)))
  clearTimeout(timer)
  endGroup(child.pid)
  rmSync(temporary, { recursive: true, force: true })
  return { ...verdict(output, code, signal, late && timeout), output }
}

function verdict(output, code, signal, timeout) {
  if (timeout) return { outcome: 'failed', reason: `did not end within ${timeout / 1000} s` }
  const skipped = /^1\.\.0 # Skipped:\s*(.*)$/m.exec(output)
  if (skipped) return { outcome: 'skipped', reason: skipped[1] }
  if (code === 0) return { outcome: 'passed', reason: '' }
  const line = output.split('\n').find((text) => /Error|Mismatched|FATAL|bad option/.test(text)) ?? ''
  return { outcome: 'failed', reason: line.trim().slice(0, 200) || `ended with ${signal ?? code}` }
}

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of the group have ended.
  }
}

/** Tests use this port and the next ones: they are below those that the kernel gives to `port: 0`. */
async function freePorts() {
  for (;;) {
    const first = 10_000 + Math.floor(Math.random() * 20_000)
    const all = await Promise.all(Array.from({ length: PORTS }, (_, at) => isFree(first + at)))
    if (all.every(Boolean)) return first
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer().on('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
