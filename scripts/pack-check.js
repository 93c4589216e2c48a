// Packs all packages as they are published, installs them from the tarballs alone into an empty project with no Rust on
// the PATH and no registry, and uses them there in every way that they are meant to be used.

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'

import { copyNotices, here, manifest, NOTICES, readJson, ROOT, TARGETS } from './targets.js'
import { tool } from './tools.js'

process.chdir(ROOT)

const MEGABYTE = 1024 * 1024
const home = mkdtempSync(join(tmpdir(), 'm-socket-pack-'))
process.on('exit', () => rmSync(home, { recursive: true, force: true }))

const PATH = join(home, 'bin')
const project = join(home, 'project')
const installed = join(project, 'node_modules')
const results = { passed: 0, failed: 0 }

await main()

async function main() {
  const built = TARGETS.filter(({ path }) => existsSync(path))
  check('the binary of this machine is built', () => expect(built.includes(here), 'run npm run build:all first'))
  if (results.failed > 0) return finish()
  check('one version everywhere', oneVersion)
  copyNotices()
  const tarballs = pack(built)
  check('installed from the tarballs alone, without Rust and registry', () => install(tarballs))
  check('publint', () => run(process.execPath, [tool('publint/src/cli.js'), 'run', tarballs.root, '--strict']))
  check('are the types wrong', () =>
    run(process.execPath, [
      tool('@arethetypeswrong/cli/dist/index.js'),
      tarballs.root,
      '--profile',
      'esm-only',
      '--no-emoji',
      '--no-color',
    ]),
  )
  elsewhere(tarballs)
  maps()
  uses()
  typescript()
  bundles()
  broken()
  finish()
}

/** Of the root, the crate, the platform packages, and the one that the loader was generated for. */
function oneVersion() {
  const versions = {
    'package-lock.json': readJson('package-lock.json').version,
    'Cargo.toml': /^version = "(.*)"$/m.exec(readFileSync('Cargo.toml', 'utf8'))[1],
    'index.js': /bindingPackageVersion !== '(.*?)'/.exec(readFileSync('index.js', 'utf8'))[1],
  }
  for (const { folder } of TARGETS) versions[folder] = readJson(`${folder}/package.json`).version
  for (const [where, version] of Object.entries(versions)) {
    expect(version === manifest.version, `${where} says ${version}, package.json ${manifest.version}`)
  }
}

function pack(built) {
  // What is published is changed by napi, which writes the optionalDependencies: in a copy.
  const staged = join(home, 'staged')
  const tarballs = { root: '', platforms: {} }
  check('packed as published', () => {
    mkdirSync(staged)
    const [root] = npmPack('.', home)
    run('tar', ['xzf', join(home, root.filename), '--strip-components=1', '-C', staged])
    // An installation from git packs the addon that it has built. What is published is packed where there is none.
    rmSync(join(staged, here.file), { force: true })
    cpSync('npm', join(staged, 'npm'), { recursive: true })
    // napi names only packages that are whole: where a binary has not been built here, a stand-in does for the names.
    for (const { path } of TARGETS) if (!existsSync(path)) writeFileSync(join(staged, path), '')
    run(
      process.execPath,
      [
        `${ROOT}node_modules/@napi-rs/cli/dist/cli.js`,
        'pre-publish',
        '-t',
        'npm',
        '--no-gh-release',
        '--skip-optional-publish',
      ],
      { cwd: staged },
    )
    const [published] = npmPack(staged, home)
    const { optionalDependencies } = JSON.parse(readFileSync(join(staged, 'package.json'), 'utf8'))
    expect(
      TARGETS.every(({ platform }) => optionalDependencies[`m-socket-${platform}`] === manifest.version),
      'optionalDependencies lack a platform',
    )
    const paths = published.files.map(({ path }) => path)
    expect(
      paths.every((path) =>
        /^(dist\/.*\.(js|d\.ts)(\.map)?|lib\/.*\.ts|index\.(js|d\.ts)|loadable\.js|scripts\/setup\.js|package\.json|README\.md|LICENSE)$/.test(
          path,
        ),
      ),
      `packed too much: ${paths.join(' ')}`,
    )
    tarballs.root = join(home, published.filename)
    size(published)
  })
  for (const { folder, platform, file } of built) {
    check(`packed ${folder}`, () => {
      const [packed] = npmPack(`./${folder}`, home)
      const paths = packed.files.map(({ path }) => path).sort()
      const expected = [file, 'README.md', 'package.json', ...NOTICES].sort()
      expect(String(paths) === String(expected), `packed ${paths.join(' ')}`)
      tarballs.platforms[`m-socket-${platform}`] = join(home, packed.filename)
      size(packed)
    })
  }
  return tarballs
}

function size({ name, size: packed, unpackedSize, entryCount }) {
  console.log(`        ${name}: ${entryCount} files, ${packed} bytes packed, ${unpackedSize} unpacked`)
  expect(unpackedSize < 2.5 * MEGABYTE, `${name} is ${unpackedSize} bytes unpacked`)
}

function install({ root, platforms }) {
  mkdirSync(PATH)
  for (const name of ['node', 'npm', 'sh', 'tar'])
    symlinkSync(name === 'node' ? process.execPath : which(name), join(PATH, name))
  expect(spawnSync('cargo', [], { env: { PATH } }).error?.code === 'ENOENT', 'cargo is on the PATH')
  writeProject(project, root, platforms)
  npmInstall(project)
  const names = readdirSync(installed).filter((name) => name.startsWith('m-socket'))
  expect(String(names) === `m-socket,m-socket-${here.platform}`, `installed: ${names}`)
  cpSync('scripts/pack-check', project, { recursive: true })
}

/** npm leaves out the binaries, which are for Linux; the import says so. */
function elsewhere({ root, platforms }) {
  const folder = join(home, 'elsewhere')
  check('installed on macOS and Windows', () => {
    for (const system of ['darwin', 'win32']) {
      rmSync(folder, { recursive: true, force: true })
      writeProject(folder, root, platforms)
      npmInstall(folder, '--os', system, '--cpu', 'arm64')
      const names = readdirSync(join(folder, 'node_modules')).filter((name) => name.startsWith('m-socket'))
      expect(String(names) === 'm-socket', `installed: ${names}`)
    }
  })
  sentence('imported there', /^m-socket runs on Linux alone and this is win32: /, {
    args: set('platform', 'win32'),
    cwd: folder,
  })
  check('m-socket/net and m-socket/register do no harm there', () => {
    for (const name of ['off-linux.mjs', 'echo.mjs']) cpSync(`scripts/pack-check/${name}`, join(folder, name))
    run(process.execPath, [...set('platform', 'win32'), 'off-linux.mjs'], { cwd: folder })
  })
  check('`npm install` in the package itself has nothing to prepare', () => {
    const before = readdirSync(join(folder, 'node_modules/m-socket')).join()
    const said = run('npm', ['run', '--silent', 'prepare'], { cwd: join(folder, 'node_modules/m-socket') })
    expect(said === '' && readdirSync(join(folder, 'node_modules/m-socket')).join() === before, said)
  })
}

/** Go-to-definition and stack traces end in the TypeScript, which is in the package. */
function maps() {
  const root = join(installed, 'm-socket')
  check('every file of dist has a map, and its source is in the package', () => {
    const paths = readdirSync(join(root, 'dist'), { recursive: true })
    const compiled = paths.filter((path) => /\.(js|d\.ts)$/.test(path))
    expect(compiled.length > 0, 'dist is empty')
    for (const path of compiled) {
      expect(paths.includes(`${path}.map`), `${path} has no map`)
      const map = join(root, 'dist', `${path}.map`)
      const { sources, sourceRoot = '' } = JSON.parse(readFileSync(map, 'utf8'))
      for (const source of sources) {
        const full = resolve(dirname(map), sourceRoot, source)
        expect(full.startsWith(join(root, 'lib/')) && existsSync(full), `${path}.map names ${source}`)
      }
    }
  })
  check('a stack trace names the TypeScript', () => {
    const program = "import('m-socket').then(({ connect }) => connect()).catch(({ stack }) => console.log(stack))"
    const stack = inProject('--enable-source-maps', '--eval', program)
    expect(/m-socket\/lib\/\S+\.ts:\d+/.test(stack), stack)
  })
}

function uses() {
  check('as an ES module', () => inProject('module.mjs'))
  check('by require', () => inProject('require.cjs'))
  check('m-socket/register', () => {
    inProject('--import', 'm-socket/register', 'register.mjs')
    inProject('--require', 'm-socket/register', 'register.mjs')
  })
  check('in a worker', () => inProject('worker.mjs'))
  check('in 50 workers at once, half of them terminated', () => inProject('workers.mjs'))
  check('evaluated again, as by a reset of modules', () =>
    inProject('--experimental-vm-modules', '--no-warnings', 'reset.mjs'),
  )
  check('two copies in one process', () => {
    cpSync(installed, join(project, 'copy/node_modules'), { recursive: true })
    writeFileSync(join(project, 'copy/again.mjs'), "export * from 'm-socket'\n")
    inProject('copies.mjs')
  })
}

function typescript() {
  symlinkSync(`${ROOT}node_modules/@types`, join(installed, '@types'))
  symlinkSync(`${ROOT}node_modules/undici-types`, join(installed, 'undici-types'))
  const common = ['--strict', '--noEmit', '--target', 'es2020', '--lib', 'es2020', '--types', 'node']
  for (const [name, ...args] of [
    ['node16', '--module', 'node16', '--moduleResolution', 'node16', 'consumer.ts'],
    [
      'nodenext, also by require',
      '--module',
      'nodenext',
      '--moduleResolution',
      'nodenext',
      'consumer.ts',
      'consumer.cts',
    ],
    ['bundler', '--module', 'esnext', '--moduleResolution', 'bundler', 'consumer.ts'],
  ]) {
    check(`TypeScript: ${name}`, () =>
      run(process.execPath, [`${ROOT}node_modules/typescript/bin/tsc`, ...common, ...args], { cwd: project }),
    )
  }
}

function bundles() {
  const esbuild = (...args) =>
    run(tool('esbuild/bin/esbuild'), ['--bundle', '--platform=node', '--log-level=warning', ...args], { cwd: project })
  check('bundled by esbuild, as an ES module', () => {
    esbuild('bundled.mjs', '--format=esm', '--outfile=out/bundle.mjs')
    expect(inProject('out/bundle.mjs').includes('echoed'), 'nothing was echoed')
  })
  check('bundled by esbuild, for CommonJS, itself left out', () => {
    esbuild('bundled.mjs', '--format=cjs', '--external:m-socket', '--outfile=out/bundle.cjs')
    expect(inProject('out/bundle.cjs').includes('echoed'), 'nothing was echoed')
  })
  check('bundled by esbuild with m-socket/net, itself left out', () => {
    esbuild('module.mjs', '--format=esm', '--external:m-socket', '--outfile=out/module.mjs')
    esbuild('require.cjs', '--format=cjs', '--external:m-socket', '--outfile=out/require.cjs')
    inProject('out/module.mjs')
    inProject('out/require.cjs')
  })
}

/** Each says in one sentence what is wrong and what to do. */
function broken() {
  const name = `m-socket-${here.platform}`
  const folder = join(installed, name)
  const file = join(folder, here.file)
  sentence('off Linux', /^m-socket runs on Linux alone and this is darwin: .* in a container/, {
    args: set('platform', 'darwin'),
  })
  sentence('on a processor without a binary', /^m-socket has addons for x64 and arm64 and this is riscv64: build it/, {
    args: set('arch', 'riscv64'),
  })
  sentence('on an old Node', /^m-socket needs Node 20\.19 or later and this is 18\.\d+\.\d+: install a newer Node$/, {
    node: tool(`node-linux-${process.arch}/bin/node`, 'old-node'),
  })
  renameSync(folder, `${folder}.away`)
  const missing = new RegExp(`^m-socket needs the package ${name}, which is not installed: run npm install again`)
  sentence('without the binary', missing)
  sentence('m-socket/net without the binary', missing, { entry: 'm-socket/net' })
  renameSync(`${folder}.away`, folder)
  renameSync(file, `${file}.away`)
  sentence(
    'with its package but without its file',
    new RegExp(`^m-socket found its addon ${name}, which does not load \\(Cannot find module`),
  )
  cpSync(`${file}.away`, file)
  truncateSync(file, 32) // cut further on, the dynamic linker itself is killed by SIGBUS
  sentence('with a binary that is cut off', /^m-socket found its addon .*, which does not load \(.*file too short/)
  writeFileSync(file, 'not a library\n')
  sentence(
    'with a binary that is none',
    /^m-socket found its addon .*, which does not load \(.*(invalid ELF header|file too short)/,
  )
  const other = TARGETS.find(({ cpu, path }) => cpu !== here.cpu && existsSync(path))
  if (other) {
    cpSync(other.path, file)
    sentence(
      'with the binary of another processor',
      /^m-socket found its addon .*, which does not load \(.*cannot open shared object file/,
    )
  }
  renameSync(`${file}.away`, file)
  check('whole again', () => inProject('module.mjs'))
}

function sentence(when, pattern, { node = process.execPath, args = [], cwd = project, entry = 'm-socket' } = {}) {
  check(`${when} it says what to do`, () => {
    const program = `import('${entry}').then(() => console.log('loaded'), (error) => console.log(error.message))`
    const said = run(node, [...args, '--input-type=module', '--eval', program], { cwd }).trim()
    console.log(`        ${said}`)
    expect(pattern.test(said), `said: ${said}`)
    expect(!said.includes('\n'), 'it is longer than one line')
  })
}

function writeProject(folder, root, platforms) {
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({
      private: true,
      type: 'module',
      dependencies: { 'm-socket': `file:${root}` },
      optionalDependencies: Object.fromEntries(Object.entries(platforms).map(([name, path]) => [name, `file:${path}`])),
    }),
  )
}

function npmInstall(cwd, ...args) {
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--loglevel=error', ...args], {
    cwd,
    env: { PATH, HOME: home },
  })
}

/** What replaces a property of `process` before anything is imported. */
function set(property, value) {
  return ['--import', `data:text/javascript,Object.defineProperty(process,'${property}',{value:'${value}'})`]
}

function inProject(...args) {
  return run(process.execPath, args, { cwd: project, env: { PATH, HOME: home } })
}

function npmPack(what, into) {
  return JSON.parse(
    run('npm', ['pack', what, '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', into]),
  )
}

function which(name) {
  const folder = process.env.PATH.split(':').find((path) => existsSync(join(path, name)))
  expect(folder !== undefined, `${name} is missing`)
  return join(folder, name)
}

/** Runs one thing that has to hold, and counts it. */
function check(what, attempt) {
  try {
    attempt()
    results.passed += 1
    console.log(`ok      ${what}`)
  } catch (error) {
    results.failed += 1
    console.log(`FAILED  ${what}: ${error.message}`)
  }
}

function expect(holds, otherwise) {
  if (!holds) throw new Error(otherwise)
}

function run(command, args, options = {}) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    timeout: 180_000,
    ...options,
  })
  if (error ?? status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error ?? signal ?? status}\n${stdout}${stderr}`)
  return stdout
}

function finish() {
  console.log(`${results.passed} passed, ${results.failed} failed`)
  process.exitCode = results.failed === 0 ? 0 : 1
}
