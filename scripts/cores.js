// Keeps the core files of processes that die by a signal, and prints where they died. In a shell with `ulimit -c
// unlimited`:
//
// - `cores.js keep FOLDER` has the kernel write core files to FOLDER, and prints what kernel.core_pattern was before;
// - `cores.js report FOLDER` prints a backtrace of each core file by gdb, removes it, and exits with 1 if there was one;
// - `cores.js restore PATTERN` sets kernel.core_pattern again;
// - `cores.js test` has a process abort, and checks that all of this works here.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import { corePattern, currentPattern, setPattern } from './cores/pattern.js'
import { coresOf, report } from './cores/report.js'

const [command, argument = ''] = process.argv.slice(2)

if (command === 'keep') keep(argument)
else if (command === 'report') process.exitCode = report(argument) === 0 ? 0 : 1
else if (command === 'restore') setPattern(argument)
else if (command === 'test') test()
else {
  console.error('usage: cores.js keep FOLDER | report FOLDER | restore PATTERN | test')
  process.exitCode = 2
}

/** Prints the old pattern on stdout, and on stderr what cannot be done. */
function keep(folder) {
  mkdirSync(folder, { recursive: true })
  const before = currentPattern()
  console.log(before)
  if (!setPattern(corePattern(folder)))
    console.error(`kernel.core_pattern stays '${before}': it cannot be written here`)
}

/** A process aborts; its core is found, and the backtrace has the call. */
function test() {
  const folder = mkdtempSync(join(tmpdir(), 'm-socket-cores-'))
  const before = currentPattern()
  setPattern(corePattern(folder))
  try {
    // The shell raises its own limit: that of this process may be 0.
    const abort = `ulimit -c unlimited && cd '${folder}' && exec '${process.execPath}' -e 'process.abort()'`
    const { signal, status, stderr } = spawnSync('bash', ['-c', abort], { encoding: 'utf8' })
    if (signal !== 'SIGABRT') fail(`the process ended with ${signal ?? status}: ${stderr}`)
    if (coresOf(folder).length !== 1)
      fail(`${coresOf(folder).length} core files; kernel.core_pattern is '${currentPattern()}'`)
    const lines = []
    if (report(folder, (text) => lines.push(text)) !== 1) fail('the core was not reported')
    if (!/\babort\b/.test(lines.join('\n'))) fail(`the backtrace has no call of abort(3):\n${lines.join('\n')}`)
    if (coresOf(folder).length > 0) fail('the core file is still there')
    console.log('a process that aborts leaves a core file, and its backtrace is printed')
  } finally {
    setPattern(before)
    rmSync(folder, { recursive: true, force: true })
  }
}

function fail(why) {
  console.error(why)
  process.exitCode = 1
}
