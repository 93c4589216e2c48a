// Tests of Node's that are expected to fail on `m-socket/net`, each with what it pins and why that is not ours. One that
// passes is reported.

/** @type {Record<string, string>} The path of a file in Node's `test` folder, and one line. */
export const KNOWN = {}
