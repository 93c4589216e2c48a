import { type Address, hostOf, portOf } from '../model/address.js'

/** Where a server listens, in the words of Node and of Bun. */
export abstract class ServerAddress {
  abstract get address(): Address | undefined

  /** The port; undefined on a Unix socket and once stopped. */
  get port(): number | undefined {
    return portOf(this.address)
  }

  /** The numeric address listened on; undefined on a Unix socket and once stopped. */
  get host(): string | undefined {
    const { address } = this
    return address && 'path' in address ? undefined : hostOf(address)
  }

  /** An alias of {@link host}, as Bun has it. */
  get hostname(): string | undefined {
    return this.host
  }

  /** The path listened on; undefined on TCP and once stopped. */
  get path(): string | undefined {
    const { address } = this
    return address && 'path' in address ? address.path : undefined
  }

  /** An alias of {@link path}, as Bun has it. */
  get unix(): string | undefined {
    return this.path
  }
}
