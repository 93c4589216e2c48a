/** Options that must not be given beside others. */
export type Excluding<Names extends string> = { readonly [Name in Names]?: undefined }
