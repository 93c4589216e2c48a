// The prose of a file, as paragraphs: what stands in Markdown outside of code, and what stands in comments.

/** Of a sentence's point: these end none. */
const ABBREVIATIONS = /\b(?:e\.g|i\.e|etc|vs|cf|approx|incl|max|min|no|St)\.$/

/**
 * The paragraphs of a file: of Markdown each paragraph, item, heading and cell of a table; of code each comment.
 * @returns {{ line: number, text: string, isCell?: boolean }[]} `line` is where it begins; a cell is that of a table
 */
export function paragraphsOf(path, text) {
  return path.endsWith('.md') ? paragraphsOfMarkdown(text) : commentsOf(path, text).flatMap(paragraphsOfComment)
}

/** What lists errors or results, one behind each semicolon. */
const LIST = /^(?:(?:Throws|Rejects|Returns|E[A-Z]{3,}|\w*Error)\b|\(rejects\)|`code` with )/

/**
 * The sentences of a paragraph, without markup. Code is one word, `code`, and so is a list of nothing but code; a link is its
 * text. In a cell of a table, and in a list of errors, an entry that ends with a semicolon counts as a sentence.
 */
export function sentencesOf({ line, text, isCell = false }) {
  return plain(text)
    .split(/(?<=[.!?]["')\]]*)\s+(?=["'([]*[\p{L}\d`])/u)
    .reduce((all, part) => {
      const before = all.at(-1)
      return before !== undefined && ABBREVIATIONS.test(before)
        ? [...all.slice(0, -1), `${before} ${part}`]
        : [...all, part]
    }, [])
    .flatMap((sentence) => (isCell || LIST.test(sentence) ? sentence.split('; ') : [sentence]))
    .filter((sentence) => sentence !== '')
    .map((sentence) => ({ line, sentence }))
}

/** The words of a sentence: what has a letter or a digit between blanks. */
export function wordsOf(sentence) {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\d]/u.test(word))
}

function plain(text) {
  return text
    .replaceAll(/\{@link (?:[^}|]*\|)?([^}]*)\}/g, '$1')
    .replaceAll(/``.+?``|`[^`]*`/g, '`code`')
    .replaceAll(/`code`(?:(?:,|,? and|,? or) `code`)+/g, '`code`')
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/https?:\S+/g, 'link')
    .replaceAll(/(?<!\w)[*_]{1,2}|[*_]{1,2}(?!\w)/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

function paragraphsOfMarkdown(text, first = 1) {
  const found = []
  let open = null
  let fence = null
  const end = () => {
    if (open !== null) found.push(open)
    open = null
  }
  for (const [at, line] of text.split('\n').entries()) {
    const mark = /^\s*(```+|~~~+)/.exec(line)?.[1]
    if (fence !== null) {
      if (mark?.startsWith(fence)) fence = null
    } else if (mark !== undefined) {
      end()
      fence = mark
    } else if (line.trimStart().startsWith('|')) {
      end()
      for (const cell of line.split(/(?<!\\)\|/)) found.push({ line: first + at, text: cell, isCell: true })
    } else if (/^\s*(?:$|#|<!--|<\/?(?:picture|source|img|p|div|details|summary))/.test(line)) {
      end()
      if (line.startsWith('#')) found.push({ line: first + at, text: line.replace(/^#+ /, '') })
    } else {
      if (/^\s*(?:[-*+]|\d+\.) /.test(line)) end()
      open ??= { line: first + at, text: '' }
      open.text += ` ${line.replace(/^\s*(?:[-*+]|\d+\.|>) /, '')}`
    }
  }
  end()
  return found
}

/** A docstring is Markdown; a tag of it begins a paragraph, and what names a parameter is none of its words. */
function paragraphsOfComment({ line, text }) {
  const tags = text
    .replaceAll(/^@(?:param|template|property) (?:\{.*?\} )?\S+(?: -)? */gm, '\n')
    .replaceAll(/^@\w+ */gm, '\n')
  return paragraphsOfMarkdown(tags, line)
}

/** The comments of a program, neighbouring lines joined. */
export function commentsOf(path, text) {
  const lines = text.split('\n')
  const hash = /\.(?:py|toml|yml)$|(?:^|\/)run$/.test(path)
  const found = []
  let block = null
  for (const [at, line] of lines.entries()) {
    if (block !== null) {
      const [inside] = line.split('*/')
      block.text += `\n${inside.replace(/^\s*\* ?/, '')}`
      if (line.includes('*/')) block = null
      continue
    }
    const [, opened] = (!hash && /^\s*\/\*[*!]? ?(.*)$/.exec(line)) || []
    const [, whole] = (hash ? /^\s*#(?!!) ?(.*)$/ : /^\s*\/\/[/!]? ?(.*)$/).exec(line) ?? []
    if (opened !== undefined) {
      block = { line: at + 1, text: opened.replace(/\s*\*\/.*$/, '') }
      found.push(block)
      if (opened.includes('*/')) block = null
    } else if (whole !== undefined) {
      const before = found.at(-1)
      if (before?.last === at) Object.assign(before, { text: `${before.text}\n${whole}`, last: at + 1 })
      else found.push({ line: at + 1, text: whole, last: at + 1 })
    } else {
      const [, behind] = (hash ? /\s# (.*)$/ : /(?:^|[;{},)\s])\/\/ (.*)$/).exec(line) ?? []
      if (behind !== undefined) found.push({ line: at + 1, text: behind })
    }
  }
  return found
}
