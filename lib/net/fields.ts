/** By what a stream or a server has its handle: null while it has none. */
export const HANDLE = Symbol('handle')
/** How many bytes a stream had read and written when its handle was closed. */
export const TOTALS = Symbol('totals')
