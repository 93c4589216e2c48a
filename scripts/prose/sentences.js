// Sentences that are hard to read: those with many words, and riddles in the passive.

import { paragraphsOf, sentencesOf, wordsOf } from './text.js'

/** The most words of a sentence. */
export const MOST_WORDS = 35

/** Pages and comments for readers; what a test says is not among them. */
export const READ =
  /^(?:README|CONTRIBUTING|SECURITY|CHANGELOG)\.md$|^docs\/.*\.md$|^benchmark\/README\.md$|^(?:lib|examples)\/.*\.ts$|^(?:src|simulation)\/.*\.rs$/

/**
 * A modest idea of a riddle: a passive whose subject is a pronoun, or a clause with "what", so that it says neither who acts
 * nor on what: "It is had", "What is wanted is given". With an agent ("by the kernel") or a place for the reader to look, it is
 * none.
 */
const RIDDLES = [
  /^(?:It|This|That|They|These|Those) (?:is|are|was|were|gets?|has been|have been) (?:had|meant|wanted|needed|known|given|taken|made|done)\.$/,
  /^What (?:is|was|has been) \w+ (?:is|was|has been) \w+(?:ed|en|t|ne|id|ad)\.$/,
]

/**
 * The sentences of a file that are too long or a riddle.
 * @returns {{ path: string, line: number, word: string, found: string, use: string }[]} as those of ../prose.js
 */
export function hard(path, text) {
  if (!READ.test(path)) return []
  return paragraphsOf(path, text)
    .flatMap(sentencesOf)
    .flatMap(({ line, sentence }) => {
      const length = wordsOf(sentence).length
      if (length > MOST_WORDS)
        return [{ path, line, word: 'long', found: sentence, use: `two sentences: ${length} words` }]
      const isRiddle = RIDDLES.some((riddle) => riddle.test(sentence))
      return isRiddle ? [{ path, line, word: 'riddle', found: sentence, use: 'a subject that acts' }] : []
    })
}
