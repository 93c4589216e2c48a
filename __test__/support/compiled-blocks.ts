// Compiles code blocks of the pages as a reader's project would: under `strict`, against the published declarations.

import { join } from 'node:path'

import ts from 'typescript'

import { ROOT, blocksOf, textOf } from './code-blocks.js'

/** What a block that is not run may leave out: names, packages that are not installed here, and types of parameters. */
const UNDECLARED = new Set([2304, 2307, 2552, 7006, 18_004])

interface Program {
  readonly place: string
  readonly code: string
  /** Whether it may use names that it does not declare. */
  readonly isPart: boolean
}

/** The blocks of pages that TypeScript can compile, but for those that are files, which are compiled with the project. */
export function programsOf(pages: readonly string[]): Program[] {
  return pages.flatMap((page) =>
    blocksOf(textOf(page))
      .filter(({ language, info }) => ['ts', 'js'].includes(language) && !info.startsWith('file='))
      .map(({ code, line, info }) => ({ place: `${page}:${line}`, code, isPart: info.startsWith('not run: ') })),
  )
}

/** The errors of programs, as `page:line: message`, the line that of the program in the page. */
export function errorsOf(programs: readonly Program[]): string[] {
  const options = optionsOfReader()
  const files = new Map(programs.map((program, at) => [join(ROOT, `.block-${at}.ts`), program]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => files.has(name) || fileExists.call(host, name)
  host.readFile = (name) => files.get(name)?.code ?? readFile.call(host, name)
  host.getSourceFile = (name, version, ...more) => {
    const program = files.get(name)
    // Without an import it would be a script, which has no await, and whose names are global.
    if (program) return ts.createSourceFile(name, `${program.code}\nexport {}\n`, version)
    return getSourceFile.call(host, name, version, ...more)
  }
  const program = ts.createProgram([...files.keys()], options, host)
  return [...files].flatMap(([name, { place, isPart }]) => {
    const source = program.getSourceFile(name)!
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      .filter(({ code }) => !isPart || !UNDECLARED.has(code))
      .map(({ messageText, start = 0 }) => {
        const [page, line] = place.split(':') as [string, string]
        const at = Number(line) + 1 + source.getLineAndCharacterOfPosition(start).line
        return `${page}:${at}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
      })
  })
}

function optionsOfReader(): ts.CompilerOptions {
  return {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ['node'],
    skipLibCheck: true,
  }
}
