import { join } from 'node:path'
import { compose } from '#main/compose.ts'
import { fakeEngine } from './fake-engine.ts'

/** Crops the items of a project without end, by hand, smart and back, one and all; each edit is told when its pixels are made. */
const [folder = '', from = '0'] = process.argv.slice(2)
const context = { signal: new AbortController().signal }
const studio = await compose({
  host: 'cli',
  launchEngine: fakeEngine().launch,
  settingsFolder: join(folder, 'settings'),
  projectsFolder: join(folder, 'projects'),
  allowedRoots: [folder],
})
await studio.openFolder(join(folder, 'project'))
const project = studio.context.project()
project.queue.resume()
const items = await project.dataset.items()
for (let n = Number(from); ; n++) {
  const one = items[n % items.length]!
  const ids = n % 5 === 4 ? items.map(({ id }) => id) : [one.id]
  const crop =
    n % 3 === 2
      ? { kind: 'smart' as const }
      : { kind: 'rectangle' as const, x: (n * 7) % 20, y: (n * 3) % 10, width: 12 + (n % 9), height: 12 + (n % 7) }
  const back = n % 7 === 6
  if (back) await studio.services['curation.undo'](null, context)
  else {
    await studio.services['curation.edit'](
      { target: { kind: 'ids', ids }, change: { kind: 'set', marks: { crop, caption: `edit ${n}` } } },
      context,
    )
  }
  await project.cropping.idle()
  process.send!({ n, id: one.id, crop: back || ids.length > 1 ? null : crop })
}
