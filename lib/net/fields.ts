/** By what a stream or a server has its handle: null while it has none. */
export const HANDLE = Symbol('handle')
/** By what a server has how it reads PROXY headers. */
export const HEADERS = Symbol('headers')
/** As {@link HEADERS}, as the server was created with. */
export const CREATED_HEADERS = Symbol('created headers')
/** By what a stream has the PROXY header that it sends first. */
export const FIRST_HEADER = Symbol('first header')
/** How many bytes a stream had read and written when its handle was closed. */
export const TOTALS = Symbol('totals')
