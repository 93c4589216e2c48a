/** What depends on the running Node is decided by it. */
export const NODE_MAJOR = Number.parseInt(process.versions.node)
