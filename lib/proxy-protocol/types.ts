import type { Address } from '../model/address.js'

/** A field of a PROXY header of version 2: type, length, value. */
export interface ProxyTlv {
  /** 0 to 255. 0xE0 to 0xEF are for applications, 0xF0 to 0xF7 for experiments. */
  readonly type: number
  /** At most 65,535 bytes, within those of the whole header. */
  readonly value: Buffer
}

/** What a PROXY header says of the TLS between the client and the proxy: PP2_TYPE_SSL. */
export interface ProxySsl {
  /** A bit field: 1 the client uses TLS, 2 it gave a certificate over this connection, 4 over this session. */
  readonly client: number
  /** 0 when the client gave a certificate, and it was verified; else the error of the proxy's TLS library. */
  readonly verify: number
  /** `'TLSv1.3'`. */
  readonly version?: string | undefined
  /** The common name of the client's certificate. */
  readonly cn?: string | undefined
  /** `'ECDHE-RSA-AES128-GCM-SHA256'`. */
  readonly cipher?: string | undefined
  /** How the proxy's certificate is signed: `'SHA256'`. */
  readonly sigAlg?: string | undefined
  /** The key of the proxy's certificate: `'RSA2048'`. */
  readonly keyAlg?: string | undefined
  /** How the keys were exchanged: `'secp256r1'`. */
  readonly group?: string | undefined
  /** How the proxy signed in the handshake: `'rsa_pss_rsae_sha256'`. */
  readonly sigScheme?: string | undefined
  /** The client's certificate, X.509 in DER. */
  readonly clientCert?: Buffer | undefined
  /** What has no field of its own here, in order. */
  readonly tlvs?: readonly ProxyTlv[] | undefined
}

/** What a proxy says of a connection before the first byte of it: the PROXY protocol of HAProxy. */
export interface ProxyHeader {
  /** 1 is a line of text, with the addresses alone; 2 is binary. */
  readonly version: 1 | 2
  /**
   * `'PROXY'`: the connection is made for a client, whose addresses these are. `'LOCAL'`: the proxy made it for itself,
   * a health check for example; in version 1 it is written as UNKNOWN.
   */
  readonly command: 'PROXY' | 'LOCAL'
  /** The client. Both addresses are absent of `'LOCAL'`, of UNKNOWN, and where the proxy does not know them. */
  readonly source?: Address | undefined
  /** What the client connected to. Of the kind of `source`: two Internet addresses, or two paths. */
  readonly destination?: Address | undefined
  /** The protocol above, as of ALPN, one character for each byte: `'h2'`. Of version 2, as all that follows. */
  readonly alpn?: string | undefined
  /** The name of the host that the client asked for, for example by SNI. */
  readonly authority?: string | undefined
  /** What names the connection to several proxies: at most 128 bytes. */
  readonly uniqueId?: Buffer | undefined
  /** The TLS between the client and the proxy. */
  readonly ssl?: ProxySsl | undefined
  /** The name of the proxy's network namespace. */
  readonly netns?: string | undefined
  /** Whether the header has a checksum, CRC-32C. Of what was parsed it is right. **Default:** false. */
  readonly crc32c?: boolean | undefined
  /** What has no field of its own here, in order; a type that came twice, too. */
  readonly tlvs?: readonly ProxyTlv[] | undefined
}

/** A header that was parsed, and how many bytes it has. */
export interface ParsedHeader {
  readonly header: ProxyHeader
  readonly length: number
}

/** A header that has been parsed. */
export interface ParsedProxyHeader extends ProxyHeader {
  /** How many bytes it has: what follows is the connection's. */
  readonly length: number
}
