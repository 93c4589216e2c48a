/** Whether two types are identical; `any` is identical to itself only. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Does nothing at run time: compiles only when the types are the same. */
export function same<A, B>(...proof: Equal<A, B> extends true ? [] : [never]): void {
  void proof
}
