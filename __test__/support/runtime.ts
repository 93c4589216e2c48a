import process from 'node:process'

const ON_BUN = process.versions['bun'] !== undefined

/** What runs the tests. Bun takes Node's arguments, and runs TypeScript by itself; Deno has arguments of its own. */
const ON_DENO = process.versions['deno'] !== undefined

/** Where there is no loop of libuv's, a thread waits for a multiplexer, and an eventfd wakes it: open descriptors of each. */
export const DESCRIPTORS_OF_A_MULTIPLEXER = ON_BUN || ON_DENO ? 2 : 1

/** For the begin of a module: the consoles of Bun and Deno show objects in ways of their own. */
export const AS_NODE_PRINTS =
  ON_BUN || ON_DENO
    ? "import { format } from 'node:util'; console.log = (...values) => void process.stdout.write(format(...values) + '\\n')\n"
    : ''

/** Imports end in `.js` also where the file is TypeScript. */
const DENO = ['--no-lock', '--unstable-sloppy-imports', '--v8-flags=--expose-gc']

/** The arguments with which this runtime runs a module given as its source. */
export function sourceArguments(source: string, nodeArguments: readonly string[] = []): string[] {
  return ON_DENO ? ['eval', ...DENO, source] : [...nodeArguments, '--input-type=module', '--eval', source]
}

/** The arguments with which it runs a file of TypeScript. */
export function fileArguments(path: string, args: readonly string[], nodeArguments: readonly string[] = []): string[] {
  if (ON_DENO) return ['run', '--allow-all', ...DENO, path, ...args]
  return ['--import', '@oxc-node/core/register', ...nodeArguments, path, ...args]
}
