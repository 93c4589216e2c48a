import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { corePattern, destination } from '../../scripts/cores/pattern.js'
import { coresOf, removeCore, report } from '../../scripts/cores/report.js'
import { temporaryDirectory } from '../support/unix.js'

/** The first bytes of a core file, elf(5): the magic number, 64 bits, little-endian, and the type ET_CORE. */
const CORE = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0])

test('the_kernel_says_by_its_pattern_where_core_files_are', (t) => {
  t.deepEqual(destination('core'), { kind: 'directory', name: 'core' })
  t.deepEqual(destination('core.%p'), { kind: 'directory', name: 'core.' })
  t.deepEqual(destination('/var/cores/core.%p'), { kind: 'folder', name: '/var/cores' })
  t.deepEqual(destination('|/lib/systemd/systemd-coredump %P %u'), {
    kind: 'program',
    name: '/lib/systemd/systemd-coredump',
  })
})

test('the_pattern_names_process_signal_and_program_and_fits_into_the_kernel', (t) => {
  t.is(corePattern('/tmp/cores'), '/tmp/cores/core.%p.%s.%E')
  t.throws(() => corePattern(`/tmp/${'x'.repeat(120)}`), { message: /too long/ })
})

test('a_core_file_is_known_by_its_contents', (t) => {
  const folder = temporaryDirectory(t)
  const pattern = `${folder}/core.%p`
  writeFileSync(join(folder, 'core.1'), CORE)
  writeFileSync(join(folder, 'core.2'), 'no core')
  copyFileSync(process.execPath, join(folder, 'node'))
  t.deepEqual(coresOf(folder, pattern), [join(folder, 'core.1')])
})

test('each_core_file_is_reported_once', (t) => {
  const folder = temporaryDirectory(t)
  const pattern = `${folder}/core.%p`
  for (let count = 0; count < 7; count++) writeFileSync(join(folder, `core.${count}`), CORE)
  const lines: string[] = []
  t.is(
    report(folder, (text: string) => lines.push(text), pattern),
    7,
  )
  t.is(lines.length, 6)
  t.is(lines.at(-1), 'and 2 more core files')
  t.is(
    report(folder, () => t.fail(), pattern),
    0,
  )
})

test('the_core_file_of_one_process_can_be_removed', (t) => {
  const folder = temporaryDirectory(t)
  for (const name of ['core.12.6.!bin!node', 'core.123.6.!bin!node']) writeFileSync(join(folder, name), CORE)
  removeCore(12, `${folder}/core.%p.%s.%E`)
  t.false(existsSync(join(folder, 'core.12.6.!bin!node')))
  t.true(existsSync(join(folder, 'core.123.6.!bin!node')))
})
