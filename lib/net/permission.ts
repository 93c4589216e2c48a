import { SocketError } from '../errors.js'
import { type ErrnoException, withAddress } from './errors.js'
import { NODE_MAJOR } from '../node-version.js'

const CODE = 'ERR_ACCESS_DENIED'
const MESSAGE = 'Access to this API has been restricted. Use --allow-net to manage permissions.'

interface Permission {
  has(scope: string): boolean
}

/** Under --permission Node 25 needs --allow-net; an older one has no such permission. */
function isDenied(): boolean {
  const { permission } = process as { permission?: Permission }
  return permission !== undefined && NODE_MAJOR >= 25 && !permission.has('net')
}

/** @throws SocketError ERR_ACCESS_DENIED, which {@link connectDenied} makes Node's error of */
export function checkConnectPermission(): void {
  if (isDenied()) throw new SocketError(MESSAGE, CODE)
}

/** @throws Error ERR_ACCESS_DENIED, as Node */
export function checkListenPermission(resource: string): void {
  if (isDenied()) throw denied(resource)
}

export function isDenial({ code }: SocketError): boolean {
  return code === CODE
}

/** As Node, which takes the error of its permission model for an errno. */
export function connectDenied(address: string, port?: number): ErrnoException {
  const error = new Error(`connect ${CODE} ${MESSAGE}`)
  return withAddress(
    Object.assign(error, { errno: denied(address) as never, code: CODE, syscall: 'connect' }),
    address,
    port,
  )
}

function denied(resource: string): Error {
  return Object.assign(new Error(MESSAGE), { code: CODE, permission: 'Net', resource })
}
