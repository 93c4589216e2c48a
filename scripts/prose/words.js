// The words that the project does not use, and what it says instead: the terms of mio, libuv and Node, in plain
// English.

const RUST = /^src\//
const WRAPPER = /^lib\//
const CODE = /^(src|lib)\//
const DESIGN = /^(src\/|docs\/architecture\.md)/
const LIBRARY = /^(src|lib|docs|benchmark|scripts)\//

/** `only` narrows a word to the files where it has no other meaning. */
export const WORDS = [
  // English.
  { word: 'told', pattern: part('told', 'tells?', 'telling', 'teller', 'untold'), use: 'report, return, pass to, say' },
  { word: 'news', pattern: part('news'), use: 'reported events, an event, readiness' },
  { word: 'nobody', pattern: part('nobody'), use: '"no …", a passive, or the thing itself as the subject' },
  { word: 'somebody', pattern: part('somebody'), use: 'the caller, a program, another process' },
  { word: 'whoever', pattern: part('whoever', 'whomever'), use: 'the thing itself: "a socket that …"' },
  { word: 'who', pattern: whoWithoutNoun(), use: 'a noun: "a peer that …", "a caller that …"' },
  { word: 'anew', pattern: part('anew'), use: 'again' },
  { word: 'in peace', pattern: /\bin[ _]peace\b/gi, use: 'without an error' },
  { word: 'at a stretch', pattern: /\bat[ _]a[ _]stretch\b/gi, use: 'at a time, without a pause' },
  {
    word: 'riddles',
    pattern: /\btakes in what\b|is the multiplexer's again|\bnobody's\b|\braw system calls\b|\bis too many waits\b/gi,
    use: 'a sentence that says what happens',
  },
  // Terms, in prose and in names.
  { word: 'hear', pattern: part('hears?', 'heard', 'unheard', 'hearing'), use: 'merge, receive, read' },
  { word: 'doubt', pattern: /doubt/gi, use: 'unverified' },
  // A promise settles.
  { word: 'settle', pattern: /settle(?!.*promise)(?<!promise.*)/gi, use: 'verify, complete', only: /^(src|docs)\// },
  { word: 'strike', pattern: part('strikes?', 'struck'), use: 'remove' },
  { word: 'farewell', pattern: /farewell/gi, use: 'detached' },
  { word: 'left', pattern: /\bLEFT\b|\b(on|has|tell)Left\b|\bhas_left\b/g, use: 'detached', only: CODE },
  { word: 'bid', pattern: part('bids?'), use: 'a verb that says what happens' },
  // The chat has guests.
  { word: 'guest', pattern: part('guests?'), use: 'flush-only registration', only: LIBRARY },
  { word: 'gather', pattern: /gather/gi, use: 'cork, collect' },
  // People, arrays and sockets hold things as they do everywhere.
  { word: 'hold', pattern: holdAsName(), use: 'ref and unref', only: CODE },
  {
    word: 'hold',
    pattern:
      /\bhold(s|ing)?( (the|a|its|no|this|whole|Node's)){0,2} process\b|\b(loop|process)( \w+)? (was|is|be) held\b/g,
    use: 'keep the process alive; block the loop',
  },
  { word: 'release', pattern: /\.release\(\)|\brelease\(\): void/g, use: 'unref', only: WRAPPER },
  { word: 'putBack', pattern: /put[ _]?back/gi, use: 'unread' },
  {
    word: 'ahead',
    pattern: /\bAHEAD\b|\bahead\s*[:=|)]|\.ahead\b|\| ahead\b|\breceiv\w*( \S+)? ahead\b/g,
    use: 'prefetch',
  },
  { word: 'inbox', pattern: /inbox/gi, use: 'receive buffer' },
  { word: 'Chunker', pattern: /chunker/gi, use: 'ReceiveBuffer' },
  { word: 'slab', pattern: /slab/gi, use: 'pool, for memory', only: /^(lib\/|docs\/performance\.md)/ },
  {
    word: 'Home',
    pattern: /\bHome\b|\bhome\(\)|\{ home \}|\blib\/home\.ts\b/g,
    use: 'shared poller',
    only: /^(src|lib|docs)\//,
  },
  { word: 'Host', pattern: /\bHost\b/g, use: 'Poller', only: WRAPPER },
  { word: 'Context', pattern: /\bContext\b|\.context\b|\bcontext\(&/g, use: 'Registry', only: RUST },
  { word: 'lean', pattern: part('lean'), use: 'fast (the bare Node-API callbacks)' },
  { word: 'Waker', pattern: part('wakers?'), use: 'LoopWatch', only: DESIGN },
  // `relay()` forwards between two sockets.
  {
    word: 'Relay',
    pattern: /\brelay\b/gi,
    use: 'ThreadWatch',
    only: /^src\/bindings\/(waker|loop_watch|thread_watch)\.rs$/,
  },
  { word: 'Waiter', pattern: part('waiters?', 'sleepers?'), use: 'PollThread', only: DESIGN },
  { word: 'Bell', pattern: part('bell'), use: 'EventFd', only: DESIGN },
  { word: 'Trigger', pattern: /\bTrigger\b|\btrigger(?=[:(.,]| =)/g, use: 'EventFd, arm', only: RUST },
  { word: 'Arrival', pattern: /\bArrival\b|\barrival(?=[:(.]| =)/g, use: 'a closure', only: RUST },
  { word: 'Answer', pattern: /\bAnswer\b/g, use: 'MaybePromise, or unknown', only: /^(lib|docs)\// },
  // A stream of Node's is a Writable.
  {
    word: 'Writable',
    pattern: /(?<!\.)\bWritable\b(?!.*node:stream)/g,
    use: 'Data',
    only: /^lib\/(index|(connection|loop|model)\/)/,
  },
  { word: 'Event', pattern: /(?<![.\w'])Event\b/g, use: 'ReadyEvent', only: /^(lib|docs)\// },
]

/** Where a word is right all the same. `line` narrows it to lines that match. */
export const EXCEPTIONS = [
  { path: 'lib/index.ts', word: 'Event', reason: 'the deprecated alias of ReadyEvent' },
  ...['lib/model/unix-file.ts', 'docs/Listener.md', 'docs/errors.md', '__test__/model/unix-file.spec.ts'].map(
    (path) => ({
      path,
      word: 'nobody',
      line: /nobody listens on it: stale file/,
      reason: 'the message of an error',
    }),
  ),
  { path: 'lib/model/event.ts', word: 'Event', reason: 'the deprecated alias of ReadyEvent' },
]

/** A word, also as a part of a name: `told`, `TOLD`, `was_told`, `toldOnce`, `#hasTold`. */
function part(...words) {
  const lower = words.join('|')
  const upper = lower.toUpperCase()
  const title = words.map((word) => word[0].toUpperCase() + word.slice(1)).join('|')
  return new RegExp(
    `(?<![A-Za-z])(?:${lower}|${title})(?![a-z])|(?<=[a-z\\d])(?:${title})(?![a-z])|(?<![A-Za-z])(?:${upper})(?![A-Za-z])`,
    'g',
  )
}

/** As a subject: first in a sentence that is no question, or behind a preposition or a conjunction. */
function whoWithoutNoun() {
  const first = String.raw`(?:^\s*|\/\/[\/!]?\s*|\*\s+|[.:;|(]\s+|["'\x60(])`
  const behind = String.raw`\b(?:for|of|to|from|by|and|than|since|so that|as)\s`
  return new RegExp(
    String.raw`(?:${first}Who|(?:[.:;|]\s+|["'\x60(]|${behind})who)\s(?!(?:is|was) at the other end|.*\?)`,
    'g',
  )
}

/** What keeps a process alive. */
function holdAsName() {
  const names = String.raw`#hold\b|\.hold\(|\bfn hold\b|\bhold\(\): void|\bholds: |\bis_held\b|hold_changes|#holding\b|\.holds\b`
  const libuv = String.raw`\bapi\.(?:hold|release)\b|\b(?:hold|release): (?:function|unsafe)`
  return new RegExp(`${names}|${libuv}`, 'g')
}
