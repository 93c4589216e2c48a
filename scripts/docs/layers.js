// The groups of the site, in their order: which pages of docs/ and which folders of lib/ belong to which. The longest
// path that matches counts. Pages are in the order in which they stand here, and pages of a folder in the order of their names.

/** @type {{ name: string, about: string, pages?: string[], sources?: string[] }[]} */
export const LAYERS = [
  {
    name: 'Guide',
    about: 'From npm install to production, step by step.',
    pages: ['docs/guide.md', 'README.md', 'docs/coming-from.md'],
  },
  {
    name: 'Recipes',
    about: 'One task a page: a tested program, and what comes back.',
    pages: ['docs/recipes/README.md', 'docs/recipes/'],
  },
  {
    name: 'Handlers',
    about: 'Servers and clients: one set of functions for all connections.',
    pages: [
      'docs/Server.md',
      'docs/connect.md',
      'docs/Connection.md',
      'docs/Handlers.md',
      'docs/life-of-a-connection.md',
    ],
    sources: ['connection/'],
  },
  {
    name: 'Model',
    about: 'Sockets that never block, and a multiplexer that reports which of them are ready.',
    pages: ['docs/Listener.md', 'docs/Socket.md', 'docs/Multiplexer.md'],
    sources: ['model/', 'native.ts'],
  },
  {
    name: 'm-socket/net',
    about: 'node:net over the sockets of this library: one import changed, or one flag on the command line.',
    pages: ['docs/net.md', 'docs/node-suite.md'],
    sources: ['net/'],
  },
  {
    name: 'Streams, HTTP, TLS',
    about: 'Streams of Node and of the web, and the servers and agents of node:http and node:tls.',
    pages: ['docs/streams.md', 'docs/http.md', 'docs/tls.md'],
    sources: ['streams/', 'http/'],
  },
  {
    name: 'Relay and files',
    about: 'Bytes that go from socket to socket, or from a file, and never enter JavaScript.',
    pages: ['docs/relay.md'],
    sources: ['relay/', 'model/send-file.ts'],
  },
  {
    name: 'Processes and proxies',
    about: 'Connections that move between threads and processes, systemd, restarts, and the PROXY protocol.',
    pages: [
      'docs/travel.md',
      'docs/descriptors.md',
      'docs/systemd.md',
      'docs/restart.md',
      'docs/scaling.md',
      'docs/proxy-protocol.md',
    ],
    sources: [
      'connection/adopt.ts',
      'model/detached-socket.ts',
      'model/passing-source.ts',
      'systemd/',
      'proxy-protocol/',
    ],
  },
  {
    name: 'Observability',
    about: 'Counters, diagnostics channels, metrics and logs.',
    pages: ['docs/observability.md'],
    sources: ['observe/'],
  },
  {
    name: 'Options and errors',
    about: 'Every socket option of the kernel, TCP_INFO, and every error with its code.',
    pages: ['docs/options.md', 'docs/errors.md'],
    sources: ['options/', 'errors.ts', 'index.ts'],
  },
  {
    name: 'Measured and tested',
    about: 'What it costs, what the kernel does, and what it was tested on.',
    pages: [
      'docs/performance.md',
      'benchmark/README.md',
      'docs/kernel.md',
      'docs/faults.md',
      'docs/suite.md',
      '__test__/',
      'docs/simulation.md',
      'docs/emulation.md',
    ],
  },
  {
    name: 'Project',
    about: 'How it works inside, and what has changed.',
    pages: ['docs/architecture.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'docs/', ''],
  },
  { name: 'Examples', about: 'Programs to read and run.', pages: ['examples/'] },
]

/** The layer that a page is in: `path` is relative to the project. */
export const layerOfPage = (path) => closest(path, 'pages')?.layer

/** The layer that an export is in: `path` is relative to lib/. */
export const layerOfSource = (path) => closest(path, 'sources')?.layer

/** Where a page stands in its layer. */
export const placeOfPage = (path) => closest(path, 'pages')?.place ?? 0

function closest(path, key) {
  const fits = LAYERS.flatMap((layer) =>
    (layer[key] ?? []).flatMap((prefix, place) => (begins(path, prefix) ? [{ layer, prefix, place }] : [])),
  )
  return fits.sort((a, b) => b.prefix.length - a.prefix.length)[0]
}

/** Whether a path is this file, or is in this folder. */
const begins = (path, prefix) => (prefix === '' || prefix.endsWith('/') ? path.startsWith(prefix) : path === prefix)
