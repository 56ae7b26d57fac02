/** What the work comes to; rejects where it takes longer, and leaves it to itself then. */
export async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`There was no answer within ${limitMs} ms.`)), limitMs);
  return await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}
