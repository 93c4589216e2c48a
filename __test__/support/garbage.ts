/**
 * Collects garbage and lets finalizers run, several times: what a finalizer releases is collected in the next round.
 */
export async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 6; round++) {
    globalThis.gc!()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
