import { join } from 'node:path'
import { DatasetFiles } from '#main/media/dataset-files.ts'
import { Curation } from '#main/services/curation.ts'
import { openDatabase } from '#main/store/database.ts'
import { DatasetIndex } from '#main/store/dataset-index.ts'
import { DuplicateGroups } from '#main/store/duplicate-groups.ts'
import { ItemQuestions } from '#main/store/item-questions.ts'
import { ItemStore } from '#main/store/item-store.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/** Edits the data set of a project's folder without end: tag after tag to every item; each is told when it is done. */
const [root = '', from = '0'] = process.argv.slice(2)
const fs = new SafeFs()
const dataset = new DatasetFiles(join(root, 'dataset'), fs)
const db = openDatabase(join(root, 'library.db'))
const questions = new ItemQuestions(db)
const curation = new Curation(
  {
    dataset,
    index: new DatasetIndex(db, dataset, fs),
    questions,
    items: new ItemStore(db, questions),
    duplicates: new DuplicateGroups(db),
  },
  () => undefined,
)
for (let n = Number(from); ; n++) {
  const target = { kind: 'query' as const, filter: { text: '', buckets: [] }, except: [] }
  await curation.edit({ target, change: { kind: 'set', marks: { caption: `edit ${n}`, tags: [`t${n}`] } } })
  process.send!(n)
}
