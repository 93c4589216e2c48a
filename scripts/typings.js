// Compiles __test__/typings as a user's TypeScript does, against the published declarations and with the library check
// on: what is right has to pass, and what stands under `@ts-expect-error` has to be refused. Then each entry of the
// package, with every TypeScript that reads the typings, for a user with few `lib`s.

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'

import { manifest, ROOT } from './targets.js'
import { tool } from './tools.js'

process.chdir(ROOT)

const VERSIONS = ['5.2', '5.4', '5.6', '5.9', '6.0', '7.0']
/** The first that reads the types of the newest Node, and the first that lets CommonJS require an ES module. */
const [READS_NEWEST, REQUIRES] = [5.6, 5.8]
const RESOLUTIONS = { nodenext: 'nodenext', bundler: 'esnext' }
const [OLDEST, NEWEST] = ['node_modules/@types/node', dirname(tool('@types/node/package.json', 'typescripts'))]

let [passed, failed] = [0, 0]
compile('the project itself', 'node_modules/typescript/bin/tsc', ['-p', '__test__/typings'])
for (const types of [OLDEST, NEWEST]) {
  const user = project(types)
  const node = /^\d+/.exec(JSON.parse(readFileSync(`${types}/package.json`, 'utf8')).version)
  for (const version of VERSIONS.filter((each) => types === OLDEST || Number(each) >= READS_NEWEST)) {
    for (const [moduleResolution, module] of Object.entries(RESOLUTIONS)) {
      const requires = moduleResolution === 'nodenext' && Number(version) >= REQUIRES
      const settings = { strict: true, noEmit: true, target: 'es2020', lib: ['es2020'], types: [] }
      writeFileSync(
        `${user}/tsconfig.json`,
        JSON.stringify({
          compilerOptions: { ...settings, module, moduleResolution },
          include: requires ? ['*.ts', '*.cts'] : ['*.ts'],
        }),
      )
      const compiler = tool(`typescript-${version}/bin/tsc`, 'typescripts')
      compile(`TypeScript ${version}, ${moduleResolution}, types of Node ${node}`, compiler, ['-p', user])
    }
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** An empty project with the package and these types of Node in it, and all that is compiled. */
function project(types) {
  const folder = '.cache/typings'
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(`${folder}/node_modules/m-socket`, { recursive: true })
  mkdirSync(`${folder}/node_modules/@types`)
  symlinkSync(resolve(types), `${folder}/node_modules/@types/node`)
  for (const path of ['package.json', ...manifest.files].filter((each) => existsSync(each))) {
    cpSync(path, `${folder}/node_modules/m-socket/${path}`, { recursive: true })
  }
  writeFileSync(`${folder}/package.json`, '{ "private": true, "type": "module" }\n')
  for (const source of ['__test__/typings', 'scripts/pack-check']) {
    for (const name of readdirSync(source).filter((each) => /\.c?ts$/.test(each))) {
      cpSync(`${source}/${name}`, `${folder}/${name}`)
    }
  }
  const entries = Object.keys(manifest.exports).filter((each) => !each.endsWith('.json'))
  entries.forEach((entry, at) => {
    writeFileSync(`${folder}/entry-${at}.ts`, `export * from '${join('m-socket', entry)}'\n`)
  })
  return folder
}

function compile(what, compiler, args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve(compiler), '--pretty', 'false', ...args], {
    encoding: 'utf8',
  })
  if (status === 0) passed += 1
  else {
    failed += 1
    console.log(`${stdout}${stderr}`.trim())
  }
  console.log(`${status === 0 ? 'ok     ' : 'FAILED '} ${what}`)
}
