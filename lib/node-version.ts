/** What depends on the running Node is decided by it. */
export const NODE_MAJOR = Number.parseInt(process.versions.node)

/** Bun and Deno have modules of these names of their own. */
export const IS_NODE = process.versions['bun'] === undefined && process.versions['deno'] === undefined
