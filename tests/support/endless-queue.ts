import { openDatabase } from '#main/store/database.ts'
import { JobStore } from '#main/store/job-store.ts'

/* Adds and claims jobs until it is killed; tells each id that was acknowledged. */
const store = new JobStore(openDatabase(process.argv[2]!))
for (;;) {
  const job = store.add('endless', { kind: 'import', source: { kind: 'sample' }, options: { imageSize: 32, background: '#ffffff' } }, 'cpu')
  process.send?.(job.id)
  if (Math.random() < 0.3) store.claim('cpu')
  await new Promise((resolve) => setImmediate(resolve))
}
