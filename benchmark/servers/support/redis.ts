// The part of Redis that redis-benchmark needs: PING, SET, GET and INCR, in RESP2 with bulk strings.

const store = new Map<string, string>()

/** The unanswered input of one connection. */
export class Session {
  #text = ''

  /** The replies to all commands that are complete now. */
  feed(chunk: Buffer): string {
    this.#text = this.#text === '' ? chunk.toString('latin1') : this.#text + chunk.toString('latin1')
    let replies = ''
    let at = 0
    for (let command; (command = parse(this.#text, at)); at = command.end) replies += answer(command.words)
    this.#text = this.#text.slice(at)
    return replies
  }
}

/**
 * Of `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`, the words and the start of the next command; undefined while it is incomplete.
 */
function parse(text: string, from: number): { words: string[]; end: number } | undefined {
  let at = text.indexOf('\r\n', from)
  if (at < 0) return undefined
  const count = Number(text.slice(from + 1, at))
  const words: string[] = []
  at += 2
  while (words.length < count) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const start = lineEnd + 2
    const end = start + Number(text.slice(at + 1, lineEnd))
    if (text.length < end + 2) return undefined
    words.push(text.slice(start, end))
    at = end + 2
  }
  return { words, end: at }
}

function answer([name, key = '', value = '']: string[]): string {
  switch (name!.toUpperCase()) {
    case 'PING':
      return '+PONG\r\n'
    case 'SET':
      store.set(key, value)
      return '+OK\r\n'
    case 'GET':
      return bulk(store.get(key))
    case 'INCR': {
      const next = String(Number(store.get(key) ?? 0) + 1)
      store.set(key, next)
      return `:${next}\r\n`
    }
    default:
      return '*0\r\n'
  }
}

function bulk(value: string | undefined): string {
  return value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`
}
