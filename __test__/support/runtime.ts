import process from 'node:process'

const ON_BUN = process.versions['bun'] !== undefined

/** Bun accepts Node's arguments and runs TypeScript by itself; Deno has its own arguments. */
const ON_DENO = process.versions['deno'] !== undefined

/** Bun and Deno have a `node:net` of their own, which is no measure. */
export const ON_NODE = !ON_BUN && !ON_DENO

/**
 * The open descriptors of a multiplexer: of epoll and of its timer. Without libuv's loop, a poll thread waits for it, and
 * an eventfd wakes that thread.
 */
export const DESCRIPTORS_OF_A_MULTIPLEXER = ON_BUN || ON_DENO ? 3 : 2

/** The first line of a module that makes console.log print as in Node: Bun and Deno format objects differently. */
export const AS_NODE_PRINTS =
  ON_BUN || ON_DENO
    ? "import { format } from 'node:util'; console.log = (...values) => void process.stdout.write(format(...values) + '\\n')\n"
    : ''

/** The arguments with which Node, or Bun, runs TypeScript. */
export const TYPESCRIPT: readonly string[] = [
  '--import',
  new URL('../../scripts/typescript/register.js', import.meta.url).href,
]

/** Sloppy imports: our import paths end in `.js` although the files are TypeScript. */
const DENO = ['--no-lock', '--unstable-sloppy-imports', '--v8-flags=--expose-gc']

/** The arguments with which this runtime runs a module given as source text. */
export function sourceArguments(source: string, nodeArguments: readonly string[] = []): string[] {
  return ON_DENO ? ['eval', ...DENO, source] : [...nodeArguments, '--input-type=module', '--eval', source]
}

/** The arguments with which this runtime runs a TypeScript file. */
export function fileArguments(path: string, args: readonly string[], nodeArguments: readonly string[] = []): string[] {
  if (ON_DENO) return ['run', '--allow-all', ...DENO, path, ...args]
  return [...TYPESCRIPT, ...nodeArguments, path, ...args]
}
