/** Collects all garbage, and lets finalizers run, some times over: what one of them lets go of is garbage only then. */
export async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 6; round++) {
    globalThis.gc!()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
