// The first module that `m-socket` imports. If the addon cannot be loaded, it throws one sentence with the reason and
// the remedy; the generated `index.js` would report a bug in npm instead. The syntax is one that old versions of Node
// can parse.

import { createRequire } from 'module'

const require = createRequire(import.meta.url)
const PREBUILT = ['x64', 'arm64']

check()

function check() {
  const version = process.versions.node
  if (process.platform !== 'linux') {
    throw new Error(
      'm-socket runs on Linux alone and this is ' +
        process.platform +
        ': run it on Linux, in a container or in a virtual machine',
    )
  }
  if (older(version, 20, 19))
    throw new Error('m-socket needs Node 20.19 or later and this is ' + version + ': install a newer Node')
  if (process.env.NAPI_RS_NATIVE_LIBRARY_PATH) return
  const failures = []
  for (const libc of ['gnu', 'musl']) {
    const platform = 'linux-' + process.arch + '-' + libc
    for (const id of ['./m-socket.' + platform + '.node', 'm-socket-' + platform]) {
      try {
        require(id)
        return
      } catch (error) {
        if (!missing(error, id)) failures.push({ id, libc, error })
      }
    }
  }
  throw explanation(failures)
}

/** No addon was found, or the one that was found does not load. Of two failures, the one for this libc is reported. */
function explanation(failures) {
  const libc = process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'
  const broken = failures.find((failure) => failure.libc === libc) || failures[0]
  const name = 'm-socket-linux-' + process.arch + '-' + libc
  if (broken) {
    const forbidden = prohibition(broken)
    if (forbidden) return new Error(forbidden, { cause: broken.error })
    const reason = String(broken.error.message).split('\n')[0]
    return new Error(
      'm-socket found its addon ' +
        broken.id +
        ', which does not load (' +
        reason +
        '): install ' +
        name +
        ' again on the system that runs it',
      {
        cause: broken.error,
      },
    )
  }
  if (!PREBUILT.includes(process.arch)) {
    return new Error(
      'm-socket has addons for ' +
        PREBUILT.join(' and ') +
        ' and this is ' +
        process.arch +
        ': build it from its sources with npm run build',
    )
  }
  return new Error(
    'm-socket needs the package ' +
      name +
      ', which is not installed: run npm install again on the system that runs it, without --omit=optional',
  )
}

/** What to do when Node or Deno does not allow to load the addon; undefined for any other failure. */
function prohibition(failure) {
  const code = failure.error.code
  const model = 'the permission model of this Node'
  if (code === 'ERR_DLOPEN_DISABLED' && process.permission)
    return 'm-socket needs a native addon, which ' + model + ' does not allow: run node with --allow-addons'
  if (code === 'ERR_DLOPEN_DISABLED')
    return 'm-socket needs a native addon, which this Node does not allow: run node without --no-addons'
  if (code === 'ERR_ACCESS_DENIED')
    return 'm-socket may not read its addon ' + failure.id + ' by ' + model + ': run node with --allow-fs-read for it'
  const denied = /^Requires \w+ access to .*/.exec(failure.error.message)
  return denied ? 'm-socket may not load its addon ' + failure.id + ': ' + denied[0] : undefined
}

/** Whether `id` itself is missing. A package that lacks its file is not missing but broken. */
function missing(error, id) {
  return error.code === 'MODULE_NOT_FOUND' && String(error.message).includes("'" + id + "'")
}

function older(version, major, minor) {
  const parts = version.split('.').map(Number)
  return parts[0] < major || (parts[0] === major && parts[1] < minor)
}
