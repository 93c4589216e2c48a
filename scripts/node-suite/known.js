// Tests of Node's that are expected to fail on `m-socket/net`, each with what it pins and why that is not ours. One that
// passes is reported.

const HANDLE = '`_handle` is null: a stream of ours has no handle of Node’s'

/** @type {Record<string, string>} The path of a file in Node's `test` folder, and one line. */
const KNOWN = {
  'parallel/test-cluster-net-listen-backlog.js':
    'replaces `listen` of the class that the primary of node:cluster listens with, which is node:net’s own',
  'parallel/test-net-connect-keepalive.js': `replaces setKeepAlive of \`_handle\`: ${HANDLE}`,
  'parallel/test-net-connect-nodelay.js': `replaces setNoDelay of \`_handle\`: ${HANDLE}`,
  'parallel/test-net-connect-options-fd.js': `reads the descriptor of \`_handle\`: ${HANDLE}`,
  'parallel/test-net-perf_hooks.js': 'entries of type `net` are added to perf_hooks by an internal function of Node’s',
  'parallel/test-net-persistent-nodelay.js': `counts the calls of setNoDelay of Node’s TCP handle: ${HANDLE}`,
  'parallel/test-net-server-keepalive.js': `replaces setKeepAlive of an accepted \`_handle\`: ${HANDLE}`,
  'parallel/test-net-server-nodelay.js': `replaces setNoDelay of an accepted \`_handle\`: ${HANDLE}`,
  'parallel/test-net-socket-write-after-close.js': `closes \`_handle\` itself: ${HANDLE}`,
}

/** Those of {@link KNOWN} that hold for suites from a version on only. */
const KNOWN_SINCE = [
  [
    22,
    'parallel/test-net-persistent-ref-unref.js',
    `counts the calls of ref and unref of Node’s TCP handle: ${HANDLE}`,
  ],
]

/** The known differences of the suite of a version of Node. */
export function knownOf(version) {
  const major = Number.parseInt(version)
  const later = KNOWN_SINCE.filter(([since]) => major >= since).map(([, name, reason]) => [name, reason])
  return { ...KNOWN, ...Object.fromEntries(later) }
}
