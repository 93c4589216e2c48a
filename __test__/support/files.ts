import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { temporaryDirectory } from './unix.js'

/** Bytes of which no part of up to 251 is like another one. */
export function distinctBytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index % 251) ^ (index >> 10)))
}

/** A file with these bytes; removed at the end of the test. */
export function fileWith(t: ExecutionContext, bytes: Uint8Array): string {
  const path = join(temporaryDirectory(t), 'file')
  writeFileSync(path, bytes)
  return path
}

/** A file of holes, nothing of which is in the page cache, with `bytes` at `position`. */
export function sparseFile(t: ExecutionContext, size: number, bytes: Uint8Array, position: number): string {
  const path = fileWith(t, Buffer.alloc(0))
  const fd = openSync(path, 'r+')
  ftruncateSync(fd, size)
  writeSync(fd, bytes, 0, bytes.length, position)
  closeSync(fd)
  return path
}

/** Opens a file for the length of the test. */
export function openFor(t: ExecutionContext, path: string, flags = 'r'): number {
  const fd = openSync(path, flags)
  t.teardown(() => {
    try {
      closeSync(fd)
    } catch {
      // The test has closed it.
    }
  })
  return fd
}

/** Takes a file out of the page cache, where the kernel and the file system do so: `posix_fadvise(2)` by dd(1). */
export function evict(path: string): void {
  execFileSync('dd', [`if=${path}`, 'of=/dev/null', 'iflag=nocache', 'count=0', 'status=none'])
}
