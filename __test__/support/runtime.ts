import process from 'node:process'

/** What runs the tests. Bun takes Node's arguments, and runs TypeScript by itself; Deno has arguments of its own. */
const ON_DENO = process.versions['deno'] !== undefined

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
