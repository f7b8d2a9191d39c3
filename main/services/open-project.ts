import { readdir, readFile, rm } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { DatasetSummary } from '#contracts/dataset.ts'
import type { GalleryItem } from '#contracts/gallery.ts'
import type { Job, JobKind, JobPayload } from '#contracts/job.ts'
import type { PictureId, RunId } from '#contracts/project.ts'
import type { Run } from '#contracts/studio.ts'
import { StudioError, toWire } from '#contracts/errors.ts'
import type { EngineClient } from '../engine-process/client.ts'
import { DatasetFiles } from '../media/dataset-files.ts'
import { withState } from '../media/source-roots.ts'
import type { ClipFiles } from '../media/video/clip-files.ts'
import { VideoShelf } from '../media/video/video-shelf.ts'
import { readPictureRecord, type PictureRecord } from '../media/write-image.ts'
import { Allowances } from '../store/allowances.ts'
import { AutoencoderShelf } from '../store/autoencoder-shelf.ts'
import { AlikeStore } from '../store/alike-store.ts'
import type { CaptionKeys } from '../store/caption-keys.ts'
import { FileCheckpoints } from '../store/checkpoint-store.ts'
import { CropStore } from '../store/crop-store.ts'
import { explainFull, openDatabase, type Db } from '../store/database.ts'
import { DuplicateGroups } from '../store/duplicate-groups.ts'
import { DatasetFigures } from '../store/dataset-figures.ts'
import { DatasetIndex } from '../store/dataset-index.ts'
import { ExportList } from '../store/export-list.ts'
import { GalleryStore } from '../store/gallery-store.ts'
import { ImportDraftFile } from '../store/import-draft.ts'
import { ItemQuestions } from '../store/item-questions.ts'
import { ItemStore } from '../store/item-store.ts'
import { JobStore } from '../store/job-store.ts'
import { LedgerPages } from '../store/ledger-pages.ts'
import { FileMetrics } from '../store/metrics-log.ts'
import { projectFolder, type ProjectFile, type ProjectFolder } from '../store/project-folder.ts'
import { lockProject } from '../store/project-lock.ts'
import { PictureMarks } from '../store/picture-marks.ts'
import { RunRecords } from '../store/run-records.ts'
import { RunStore, type RunRow } from '../store/run-store.ts'
import { newFolderName, type SafeFs } from '../store/safe-fs.ts'
import { places, SourceRecord } from '../store/source-record.ts'
import { StagedDrops } from '../store/staged-drops.ts'
import type { Publish } from './context.ts'
import { Cropping } from './cropping.ts'
import { Curation } from './curation.ts'
import { findDuplicates } from './duplicates.ts'
import { cropRunner } from './queue/crop-runner.ts'
import { exportRunner } from './queue/export-runner.ts'
import { captionRunner } from './queue/caption-runner.ts'
import { LatentsCache } from './latents-cache.ts'
import { RoundTrips } from './round-trips.ts'
import { importRunner } from './queue/import-runner.ts'
import { JobQueue, type Runner } from './queue/job-queue.ts'
import { measureRunner } from './queue/measure-runner.ts'
import { sampleRunner } from './queue/sample-runner.ts'
import { trainRunner } from './queue/train-runner.ts'
import { clipsRunner, scenesRunner } from './queue/video-runners.ts'

/** An open project: its folder, locked for this studio, its stores and its queue. */
export class OpenProject {
  readonly file: ProjectFile
  readonly folder: ProjectFolder
  readonly fs: SafeFs
  readonly engine: EngineClient
  readonly publish: Publish
  readonly captionKeys: CaptionKeys
  /** Folders under which sources may be read, as they are at the time. */
  readonly allowedRoots: ReadonlySet<string>
  readonly dataset: DatasetFiles
  readonly index: DatasetIndex
  readonly items: ItemStore
  readonly figures: DatasetFigures
  readonly exportList: ExportList
  readonly alike: AlikeStore
  readonly duplicates: DuplicateGroups
  readonly ledger: LedgerPages
  readonly sources: SourceRecord
  readonly allowances: Allowances
  readonly draft: ImportDraftFile
  /** Training pictures of the last dry run, as PNG. */
  checked: { id: string; pictures: readonly Uint8Array[] } | null = null
  readonly curation: Curation
  readonly crops: CropStore
  readonly cropping: Cropping
  readonly clips: ClipFiles
  readonly videos: VideoShelf
  readonly autoencoders: AutoencoderShelf
  readonly latents: LatentsCache
  readonly roundTrips: RoundTrips
  readonly gallery: GalleryStore
  readonly runs: RunStore
  readonly runRecords: RunRecords
  readonly queue: JobQueue
  readonly #drops: StagedDrops
  #releasing: Promise<void> = Promise.resolve()
  /** What goes on in the background after a project was opened. */
  #settling: Promise<void> = Promise.resolve()
  #closing = false
  readonly #db: Db
  readonly #unlock: () => Promise<void>

  private constructor(
    file: ProjectFile,
    folder: ProjectFolder,
    db: Db,
    unlock: () => Promise<void>,
    { fs, engine, publish, captionKeys, allowedRoots }: ProjectTools,
  ) {
    this.file = file
    this.folder = folder
    this.fs = fs
    this.engine = engine
    this.publish = publish
    this.captionKeys = captionKeys
    this.allowedRoots = allowedRoots
    this.dataset = new DatasetFiles(folder.dataset, fs)
    this.index = new DatasetIndex(db, this.dataset, fs)
    const questions = new ItemQuestions(db)
    this.items = new ItemStore(db, questions)
    this.figures = new DatasetFigures(db, questions)
    this.exportList = new ExportList(db, questions)
    this.alike = new AlikeStore(db)
    this.duplicates = new DuplicateGroups(db)
    this.ledger = new LedgerPages(db)
    this.sources = new SourceRecord(folder.originals, fs)
    this.allowances = new Allowances(folder.dataset, fs)
    this.draft = new ImportDraftFile(folder.root, fs)
    this.crops = new CropStore(db)
    this.cropping = new Cropping(this, this.crops)
    this.curation = new Curation(
      { dataset: this.dataset, index: this.index, questions, items: this.items, duplicates: this.duplicates },
      (news) => {
        publish('curation.changed', news)
        this.tellDataset()
      },
      (ids) => this.cropping.follow(ids),
    )
    this.clips = this.dataset.clips
    this.videos = new VideoShelf(folder, fs)
    this.autoencoders = new AutoencoderShelf(folder.autoencoders, fs)
    this.latents = new LatentsCache(this)
    this.roundTrips = new RoundTrips(this)
    this.gallery = new GalleryStore(db, new PictureMarks(folder.outputs, fs))
    this.runs = new RunStore(db)
    this.runRecords = new RunRecords(folder.runs, fs)
    this.#drops = new StagedDrops(folder.staging, fs)
    this.#db = db
    this.#unlock = unlock
    const runners: Record<JobKind, Runner> = {
      import: importRunner(this),
      measure: measureRunner(this),
      crop: cropRunner(this),
      scenes: scenesRunner(this),
      clips: clipsRunner(this),
      export: exportRunner(this),
      caption: captionRunner(this),
      train: trainRunner(this),
      sample: sampleRunner(this),
    }
    this.queue = new JobQueue(new JobStore(db), runners, {
      changed: (job) => {
        this.#followRun(job)
        if (job.state === 'done') this.#releaseDrop(job)
        publish('job.changed', job)
      },
      progressed: (progress) => publish('job.progressed', progress),
      removed: (id) => publish('job.removed', { id }),
      status: (status) => publish('queue.changed', status),
      warned: (message) => publish('system.warned', { message }),
    })
  }

  /** @throws StudioError project-locked while another studio has it. */
  static async open(root: string, file: ProjectFile, tools: ProjectTools, { startQueue } = { startQueue: true }): Promise<OpenProject> {
    const folder = projectFolder(root)
    for (const path of [folder.dataset, folder.runs, folder.outputs]) await tools.fs.folder(path)
    const unlock = await lockProject(tools.fs, root)
    try {
      const project = new OpenProject(file, folder, openDatabase(folder.database), unlock, tools)
      await project.#reconcile()
      await project.#sweepDrops()
      await project.#sweepExports()
      project.#settling = project.#indexDataset()
      if (startQueue) project.queue.pump()
      else project.queue.standBy()
      return project
    } catch (error) {
      await unlock()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    try {
      this.videos.close()
      await this.cropping.close()
      await this.queue.close()
      await this.#releasing
      await this.#settling
      await this.index.idle()
    } finally {
      this.#db.close()
      await this.#unlock()
    }
  }

  runFolder(id: RunId): string {
    return join(this.folder.runs, id)
  }

  /** A run with what its folder says: the step it has reached, its checkpoints. */
  async describeRun(row: RunRow): Promise<Run> {
    const folder = this.runFolder(row.id)
    const checkpoints = await new FileCheckpoints(folder, this.fs).list()
    const last = (await new FileMetrics(folder, this.fs).readAll()).at(-1)
    return { ...row, step: last?.step ?? checkpoints.at(-1)?.step ?? 0, loss: last?.loss ?? null, checkpoints }
  }

  run(id: RunId): RunRow {
    const row = this.runs.get(id)
    if (!row) throw new StudioError('not-found', `There is no run "${id}" in this project.`)
    return row
  }

  async describeDataset(): Promise<DatasetSummary> {
    const imageSize = await this.dataset.imageSize()
    const summary = await this.index.fresh(() => this.figures.describe(imageSize))
    return { ...summary, roots: await withState(summary.roots, await places(this.folder.originals)) }
  }

  tellDataset(): void {
    this.describeDataset().then(
      (summary) => this.publish('dataset.changed', summary),
      (error: unknown) =>
        !this.#closing && this.publish('system.warned', { message: `The data set cannot be read (${toWire(error).message}).` }),
    )
  }

  /** A new index (or a copied folder) takes some seconds to be made of many files, so nobody waits for it who does not ask for items. */
  async #indexDataset(): Promise<void> {
    try {
      const isKnown = await this.index.fresh(() => this.alike.knowsAlike())
      this.cropping.follow() // what a studio that was killed had still to make
      if (!isKnown) await findDuplicates(this.index, this.alike)
    } catch (error) {
      this.publish('system.warned', { message: `The data set cannot be read (${toWire(explainFull(error)).message}).` })
    }
  }

  /** Many items are others now than they were. */
  tellCuration(): void {
    this.publish('curation.changed', { ids: null, history: this.items.history() })
    this.tellDataset()
  }

  async tellRun(id: RunId): Promise<void> {
    this.publish('run.changed', await this.describeRun(this.run(id)))
  }

  /** Where a picture's file is. */
  pictureFile(id: PictureId): string | null {
    const file = this.gallery.file(id)
    return file === null ? null : join(this.folder.root, ...file.split('/'))
  }

  /** A run's state follows its job's. */
  #followRun(job: Job): void {
    if (job.payload.kind !== 'train') return
    const { runId } = job.payload
    const states: Record<Job['state'], Run['state']> = {
      queued: 'queued',
      running: 'training',
      paused: 'paused',
      interrupted: 'interrupted',
      done: 'finished',
      failed: 'failed',
      cancelled: 'stopped',
    }
    this.runs.follow(runId, job.id, states[job.state])
    this.tellRun(runId).catch((error: unknown) =>
      this.publish('system.warned', { message: `What the run has reached cannot be read (${toWire(error).message}).` }),
    )
  }

  /** What was dropped for an import goes once it is done, unless another job is still to read it. */
  #releaseDrop({ payload }: Job): void {
    const source = folderOf(payload)
    const unfinished = this.queue.list().filter(({ state }) => !['done', 'failed', 'cancelled'].includes(state))
    if (source === null || unfinished.some((job) => folderOf(job.payload) === source)) return
    this.#releasing = this.#releasing.then(() => this.#drops.release(source)).catch((error: unknown) => this.#warnOfDrops(error))
  }

  /** Drops that no import came of, or that a killed studio left. What an import can still be tried again with is kept. */
  async #sweepDrops(): Promise<void> {
    const wanted = this.queue.list().flatMap(({ state, payload }) => (state === 'done' ? [] : (folderOf(payload) ?? [])))
    const draft = await this.draft.read()
    if (draft?.source && draft.source.kind !== 'sample') wanted.push(draft.source.path)
    await this.#drops.sweep(wanted).catch((error: unknown) => this.#warnOfDrops(error))
  }

  /** What a killed studio left of exports; they begin anew. */
  async #sweepExports(): Promise<void> {
    await this.fs.remove(this.folder.exportLists)
    for (const { id, payload } of this.queue.list())
      if (payload.kind === 'export') await rm(newFolderName(payload.request.folder, id), { recursive: true, force: true })
  }

  #warnOfDrops(error: unknown): void {
    this.publish('system.warned', {
      message: `Copies of dropped files that are no longer needed could not be deleted from "${this.folder.staging}" (${toWire(error).message}).`,
    })
  }

  /** Files are the truth: runs and pictures that the index does not know (a new index, a copied folder) are added from their own records. */
  async #reconcile(): Promise<void> {
    for (const job of this.queue.list()) if (job.state === 'interrupted') this.#followRun(job)
    for (const run of await this.runRecords.readAll()) {
      if (this.runs.get(run.id)) continue
      this.runs.add({ ...run, jobId: null, state: 'interrupted' })
      if ((await this.describeRun(this.run(run.id))).step >= run.recipe.steps) this.runs.setState(run.id, 'finished')
    }
    const known = this.gallery.files()
    const added: PictureId[] = []
    let found: { record: PictureRecord; file: string }[] = []
    const add = () => {
      added.push(...this.gallery.addFound(found))
      found = []
    }
    const names = await readdir(this.folder.outputs, { recursive: true })
    for (const name of names.filter((one) => one.endsWith('.png'))) {
      const path = join(this.folder.outputs, name)
      const file = relative(this.folder.root, path).split(sep).join('/')
      if (known.has(file)) continue
      const record = readPictureRecord(await readFile(path))
      if (record) found.push({ record, file })
      if (found.length >= foundAtOnce) add()
    }
    add()
    if (added.length > 0) await this.gallery.restoreMarks(added)
  }

  announce(item: GalleryItem): void {
    this.publish('gallery.added', item)
  }
}

/** Pictures that come into the index in one transaction, when it is made anew. */
const foundAtOnce = 1000

/** What an import reads; null for other jobs and the sample. */
function folderOf(payload: JobPayload): string | null {
  return payload.kind === 'import' && payload.source.kind !== 'sample' ? payload.source.path : null
}

export interface ProjectTools {
  fs: SafeFs
  engine: EngineClient
  publish: Publish
  captionKeys: CaptionKeys
  allowedRoots: ReadonlySet<string>
}
