/** Does work on each value, up to `ahead` of them at a time, and gives the results in the order of the values. */
export async function* inOrder<T, R>(values: AsyncIterable<T>, ahead: number, work: (value: T) => Promise<R>): AsyncGenerator<R> {
  const running: Promise<R>[] = []
  try {
    for await (const value of values) {
      const next = work(value)
      next.catch(() => undefined) // told when its turn comes
      running.push(next)
      if (running.length >= ahead) yield await running.shift()!
    }
    while (running.length > 0) yield await running.shift()!
  } finally {
    await Promise.allSettled(running) // nothing goes on behind the back of who stopped listening
  }
}
