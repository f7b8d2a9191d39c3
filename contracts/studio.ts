import { z } from 'zod'
import { captionPreview, captionRequest } from './captioning.ts'
import { autoencoderInfo, cacheReport, roundTrip, type AutoencoderInfo } from './autoencoder.ts'
import {
  bucketCount,
  crop,
  croppedArea,
  cropsLeft,
  curationEdit,
  curationFilter,
  curationHistory,
  curationItem,
  curationQuery,
  duplicateList,
  duplicatesPage,
  duplicatesQuery,
  editOutcome,
  editPreview,
  histogram,
  keepOutcome,
  keepRequest,
  measureName,
  size,
  tagCount,
  type CurationNews,
  type Crop,
} from './curation.ts'
import { datasetItem, datasetSummary, importOptions, importSource, ledgerEntry, ledgerState, recognizedSource } from './dataset.ts'
import type { DatasetSummary } from './dataset.ts'
import { exportForecast, exportLayout, exportPlan, exportRequest, snapshotRecord } from './export.ts'
import {
  galleryDay,
  galleryFilter,
  galleryItem,
  galleryOutcome,
  galleryQuery,
  galleryTarget,
  generationRequest,
  type GalleryItem,
} from './gallery.ts'
import { importCheck, importDraft, resumedDraft, sourceWeight } from './import-wizard.ts'
import { job, queueStatus, type Job, type JobProgress, type QueueStatus } from './job.ts'
import {
  captionFix,
  encodingPreview,
  fileFix,
  fixOutcome,
  ledgerCounts,
  ledgerFile,
  ledgerFilter,
  ledgerRow,
  relocated,
  relocation,
  type LedgerFilter,
} from './ledger.ts'
import {
  displayName,
  itemId,
  jobId,
  pictureId,
  projectId,
  projectSummary,
  runId,
  type JobId,
  type ProjectSummary,
  type RunId,
} from './project.ts'
import { forecast, preset, recipe } from './recipe.ts'
import { method, type ServicesOf } from './rpc.ts'
import { clip, clipOptions, clipRules, foundVideo, probeAnswer, sceneScores, trim, videoEntry, videoId, videoPlan } from './video.ts'
import { modelChoice, originalAway, timeScan, xray } from './xray.ts'

const nothing = z.null()

/** The engine's process as people see it. */
export const engineStatus = z.object({
  state: z.enum(['starting', 'idle', 'busy', 'lost', 'unavailable']),
  /** Its real name, e.g. "CPU · AVX-512 · 2 threads". */
  device: z.string(),
  memoryBytes: z.number().nullable(),
  memoryTotalBytes: z.number().nullable(),
  /** Why it is unavailable and what to do, as one sentence. */
  problem: z.string().nullable(),
})
export type EngineStatus = z.infer<typeof engineStatus>

export const systemReport = z.object({
  version: z.string(),
  host: z.enum(['electron', 'headless', 'cli']),
  engine: engineStatus,
  ffmpeg: z.object({ path: z.string(), version: z.string(), note: z.string().nullable() }).nullable(),
  freeBytes: z.number().nullable(),
  /** True where `system.pickFolder` can show a native dialog. */
  canPickFolder: z.boolean(),
})
export type SystemReport = z.infer<typeof systemReport>

export const folderListing = z.object({
  path: z.string(),
  parent: z.string().nullable(),
  folders: z.array(z.object({ name: z.string(), path: z.string() })),
  pictures: z.number().int(),
  videos: z.number().int(),
  /** Folders from which everything that this studio may read can be reached. */
  places: z.array(z.string()),
  /** Files that can be imported on their own; of very many the first by name. */
  files: z.array(
    z.object({
      name: z.string(),
      path: z.string(),
      kind: z.enum(['archive', 'toml', 'picture', 'video']),
      sizeBytes: z.number().nullable(),
    }),
  ),
})
export type FolderListing = z.infer<typeof folderListing>

export const run = z.object({
  id: runId,
  name: displayName,
  createdAt: z.iso.datetime(),
  recipe,
  jobId: jobId.nullable(),
  state: z.enum(['queued', 'training', 'paused', 'stopped', 'interrupted', 'finished', 'failed']),
  step: z.number().int(),
  loss: z.number().nullable(),
  snapshot: z.string(),
  checkpoints: z.array(z.object({ step: z.number().int(), hash: z.string(), sizeBytes: z.number(), createdAt: z.iso.datetime() })),
})
export type Run = z.infer<typeof run>

/** One line of a run's metrics.jsonl. Losses are mean squared velocity errors per element. */
export const metricPoint = z.object({
  step: z.number().int(),
  loss: z.number().nullable(),
  validationLoss: z.number().nullable(),
  gradNorm: z.number().nullable(),
  learningRate: z.number(),
  secondsPerStep: z.number().nullable(),
  /** The factor on the loss of the next step, where training in float16 scales it. */
  lossScale: z.number().optional(),
  /** Gradients overflowed: the step changed no weight and halved the factor. */
  skipped: z.boolean().optional(),
})
export type MetricPoint = z.infer<typeof metricPoint>

/** Two predictors that know nothing, to hold a loss against: the network before its first step, and the best constant. */
export const baselines = z.object({ untrained: z.number().nullable(), constant: z.number().nullable() })
export type Baselines = z.infer<typeof baselines>

export const runSample = z.object({ runId, step: z.number().int(), index: z.number().int(), prompt: z.string(), pictureUrl: z.string() })
export type RunSample = z.infer<typeof runSample>

export const studioMethods = {
  'system.describe': method(nothing, systemReport),
  'system.pickFolder': method(nothing, z.string().nullable()),
  /** The same for a file. */
  'system.pickFile': method(nothing, z.string().nullable()),
  'system.browse': method(z.object({ path: z.string().max(4096).nullable() }), folderListing),

  'projects.list': method(nothing, z.array(projectSummary)),
  'projects.current': method(nothing, projectSummary.nullable()),
  'projects.create': method(z.object({ name: displayName }), projectSummary),
  'projects.open': method(z.object({ id: projectId }), projectSummary),
  'projects.close': method(nothing, nothing),
  'projects.rename': method(z.object({ id: projectId, name: displayName }), projectSummary),
  'projects.trash': method(z.object({ id: projectId }), nothing),
  'projects.restore': method(z.object({ id: projectId }), projectSummary),

  'dataset.describe': method(nothing, datasetSummary),
  'dataset.recognize': method(importSource, recognizedSource),
  'dataset.import': method(z.object({ source: importSource, options: importOptions }), job),
  'dataset.items': method(
    z.object({ offset: z.number().int().min(0), limit: z.number().int().min(1).max(500), text: z.string().max(500).default('') }),
    z.object({ total: z.number().int(), items: z.array(datasetItem) }),
  ),
  'dataset.ledger': method(
    z.object({ offset: z.number().int().min(0), limit: z.number().int().min(1).max(500), state: ledgerState.nullable() }),
    z.object({ total: z.number().int(), entries: z.array(ledgerEntry) }),
  ),
  'dataset.editCaption': method(z.object({ id: itemId, caption: z.string().max(2000) }), datasetItem),

  /** The import that is being prepared; null when there is none. */
  'import.draft': method(nothing, resumedDraft.nullable()),
  'import.keepDraft': method(importDraft, resumedDraft),
  'import.dropDraft': method(nothing, nothing),
  /** Files and folders that lie apart, as one source: a copy of them that goes once it is imported. */
  'import.gather': method(z.object({ paths: z.array(z.string().min(1).max(4096)).min(1).max(1000) }), z.object({ path: z.string() })),
  'import.weigh': method(importSource, sourceWeight),
  /** A dry run over the first files: nothing is written. */
  'import.check': method(z.object({ source: importSource, options: importOptions }), importCheck),
  /** Starts the import that the draft describes. */
  'import.start': method(nothing, job),

  'ledger.list': method(
    z.object({ filter: ledgerFilter, offset: z.number().int().min(0), limit: z.number().int().min(1).max(500) }),
    z.object({ total: z.number().int(), entries: z.array(ledgerRow) }),
  ),
  'ledger.count': method(z.object({ text: z.string().max(500).default('') }), ledgerCounts),
  /** A caption file that is not UTF-8 in the encodings that its bytes could be, the likeliest first. */
  'ledger.encodings': method(ledgerFile, z.array(encodingPreview)),
  'ledger.fixCaptions': method(captionFix, fixOutcome),
  'ledger.fixFiles': method(fileFix, job),
  /** A source that was moved or is on another drive now. */
  'ledger.locate': method(relocation, relocated),
  /** Reads a source again, as it was read before. */
  'ledger.readAgain': method(z.object({ root: z.string().max(4096) }), job),

  'curation.query': method(curationQuery, z.object({ total: z.number().int(), items: z.array(curationItem) })),
  'curation.get': method(z.object({ id: itemId }), curationItem),
  'curation.edit': method(curationEdit, editOutcome),
  'curation.preview': method(curationEdit.extend({ examples: z.number().int().min(0).max(50).default(5) }), editPreview),
  'curation.undo': method(nothing, editOutcome),
  'curation.redo': method(nothing, editOutcome),
  'curation.history': method(nothing, curationHistory),
  'curation.histogram': method(
    z.object({ filter: curationFilter, measure: measureName, bins: z.number().int().min(1).max(200).default(40) }),
    histogram,
  ),
  'curation.buckets': method(z.object({ filter: curationFilter, sizes: z.array(size).min(1).max(100) }), z.array(bucketCount)),
  'curation.tags': method(
    z.object({ text: z.string().max(100).default(''), limit: z.number().int().min(1).max(500).default(50) }),
    z.array(tagCount),
  ),
  'curation.measure': method(nothing, job),
  'curation.duplicates': method(duplicatesQuery, duplicatesPage),
  /** Where in a list of duplicates the group of an item stands; null where it is not in it. */
  'curation.duplicatePlace': method(z.object({ id: itemId, list: duplicateList }), z.object({ place: z.number().int().nullable() })),
  'curation.keep': method(keepRequest, keepOutcome),
  /** Whether the file that an item was made from can be shown, else why not. */
  'curation.original': method(z.object({ id: itemId }), z.object({ away: originalAway.nullable() })),
  /** Where a crop would lie on an item, and whether it could be made; nothing changes. */
  'curation.cropArea': method(z.object({ id: itemId, crop }), croppedArea),
  'curation.cropsLeft': method(nothing, cropsLeft),
  /** Makes what is left as a job, also what was away. */
  'curation.makeCrops': method(nothing, job),
  /** The data set's card as Markdown, with the front matter that Hugging Face reads. */
  'curation.card': method(nothing, z.object({ markdown: z.string() })),

  /** `folder` is where the export would lie; null asks nothing of a place. */
  'export.forecast': method(exportPlan.extend({ folder: z.string().max(4096).nullable().default(null) }), exportForecast),
  /** A folder that is not there yet: in `parent`, or among the project's own exports. */
  'export.suggestFolder': method(
    z.object({ layout: exportLayout, parent: z.string().max(4096).nullable().default(null) }),
    z.object({ folder: z.string() }),
  ),
  /** Writes the export as a job: all of it or nothing. */
  'export.start': method(exportRequest, job),
  'export.snapshots': method(nothing, z.array(snapshotRecord)),
  /** Writes the data set's card into a folder, under a name that is free. */
  'export.saveCard': method(z.object({ folder: z.string().min(1).max(4096) }), z.object({ path: z.string() })),

  /** What a captioner would say of the first few items of a target, without changing anything. */
  'captioning.preview': method(captionRequest.extend({ items: z.number().int().min(1).max(8).default(4) }), captionPreview),
  'captioning.run': method(captionRequest, job),
  /** Whether a key is kept for a server. The key itself never leaves the studio's settings but for that server. */
  'captioning.hasKey': method(z.object({ address: z.string().max(500) }), z.boolean()),
  /** Keeps a server's key outside of the project, or forgets it (null). */
  'captioning.setKey': method(
    z.object({
      address: z.string().max(500),
      key: z
        .string()
        .min(1)
        .max(500)
        .regex(/^[\x21-\x7e]+$/)
        .nullable(),
    }),
    nothing,
  ),

  'xray.describe': method(z.object({ id: itemId, model: modelChoice, time: timeScan.optional() }), xray),
  /** Of a picture, or of one frame of a clip. Null where the project has no autoencoder, and the model none of its own. */
  'xray.roundTrip': method(z.object({ id: itemId, model: modelChoice, frame: z.number().int().min(0).optional() }), roundTrip.nullable()),

  /** The autoencoder that is chosen for the project. */
  'autoencoder.describe': method(nothing, autoencoderInfo.nullable()),
  /** Copies one from a folder into the project, tries it out and chooses it. */
  'autoencoder.choose': method(z.object({ path: z.string().min(1).max(4096) }), autoencoderInfo),
  /** Chooses none; what a run still needs stays in the project. */
  'autoencoder.remove': method(nothing, nothing),
  'cache.describe': method(nothing, cacheReport),
  /** Deletes what nothing asks for any more; gives what went. */
  'cache.clean': method(nothing, z.object({ entries: z.number().int(), sizeBytes: z.number().int() })),

  'video.list': method(z.object({ path: z.string().min(1).max(4096) }), z.array(foundVideo)),
  'video.probe': method(z.object({ id: videoId }), probeAnswer),
  /** Finds the scenes as a job; nothing is decoded twice. */
  'video.scenes': method(z.object({ id: videoId }), job),
  /** Null while the scenes are not looked for yet. */
  'video.scores': method(z.object({ id: videoId }), sceneScores.nullable()),
  /** What an import makes of a video. One that its folder says to be a clip as it is stays one, but where its trim or its threshold was set by hand. */
  'video.plan': method(z.object({ id: videoId, rules: clipRules, trim: trim.nullable(), ownThreshold: z.boolean().optional() }), videoPlan),
  /** Pictures of a video, evenly apart. */
  'video.strip': method(
    z.object({ id: videoId, count: z.number().int().min(1).max(200) }),
    z.array(z.object({ seconds: z.number(), pictureUrl: z.string() })),
  ),
  'video.import': method(z.object({ path: z.string().min(1).max(4096), options: clipOptions }), job),
  /** Of one folder's videos, or of all. */
  'video.ledger': method(
    z.object({
      offset: z.number().int().min(0),
      limit: z.number().int().min(1).max(500),
      state: ledgerState.nullable(),
      path: z.string().min(1).max(4096).nullable().default(null),
    }),
    z.object({ total: z.number().int(), entries: z.array(videoEntry) }),
  ),
  /** The clips of the data set, or of one folder's videos, or of one of them; `note` says what they are good for so far. */
  'video.clips': method(
    z.object({
      offset: z.number().int().min(0),
      limit: z.number().int().min(1).max(500),
      path: z.string().min(1).max(4096).nullable().default(null),
      source: z.string().max(4096).nullable().default(null),
    }),
    z.object({ total: z.number().int(), clips: z.array(clip), note: z.string() }),
  ),

  'training.presets': method(nothing, z.array(preset)),
  'training.forecast': method(recipe, forecast),
  'training.start': method(z.object({ name: displayName, recipe }), run),
  'training.runs': method(nothing, z.array(run)),
  'training.metrics': method(
    z.object({ runId, afterStep: z.number().int().min(-1) }),
    z.object({ baselines, points: z.array(metricPoint) }),
  ),
  'training.samples': method(z.object({ runId }), z.array(runSample)),
  'training.pause': method(z.object({ runId }), run),
  'training.stop': method(z.object({ runId }), run),
  'training.resume': method(z.object({ runId }), run),

  'generation.enqueue': method(generationRequest, job),

  'queue.list': method(nothing, z.object({ status: queueStatus, jobs: z.array(job) })),
  'queue.pause': method(z.object({ when: z.enum(['now', 'after-current']) }), queueStatus),
  'queue.resume': method(nothing, queueStatus),
  'queue.cancel': method(z.object({ id: jobId }), job),
  'queue.retry': method(z.object({ id: jobId }), job),
  'queue.runNext': method(z.object({ id: jobId }), job),
  'queue.move': method(z.object({ id: jobId, before: jobId.nullable() }), job),
  'queue.clearEnded': method(nothing, nothing),

  'gallery.list': method(galleryQuery, z.object({ total: z.number().int(), items: z.array(galleryItem) })),
  'gallery.get': method(z.object({ id: pictureId }), galleryItem),
  /** Where a picture stands among those that a filter finds, counted from 0; null where it does not. */
  'gallery.place': method(z.object({ id: pictureId, filter: galleryFilter }), z.number().int().nullable()),
  /** The days of what a filter finds, the newest first. */
  'gallery.days': method(galleryFilter, z.array(galleryDay)),
  'gallery.rate': method(
    z.object({
      target: galleryTarget,
      rating: z.number().int().min(0).max(5).optional(),
      pick: z.enum(['none', 'pick', 'reject']).optional(),
    }),
    galleryOutcome,
  ),
  'gallery.trash': method(z.object({ target: galleryTarget }), galleryOutcome),
  'gallery.restore': method(z.object({ target: galleryTarget }), galleryOutcome),
  /** Takes back the newest change of marks that this studio has seen; 0 where there is none left. */
  'gallery.undo': method(nothing, galleryOutcome),
} as const
export type StudioMethods = typeof studioMethods
export type StudioServices = ServicesOf<StudioMethods>

/** What a host's own menu hands to the page. */
export const menuCommand = z.enum(['new-project', 'projects', 'import', 'curate', 'train', 'generate', 'gallery', 'palette', 'shortcuts'])
export type MenuCommand = z.infer<typeof menuCommand>

/** News: facts in the past tense. */
export interface StudioEvents {
  'project.opened': ProjectSummary
  'project.closed': { id: ProjectSummary['id'] }
  'projects.changed': null
  'dataset.changed': DatasetSummary
  'curation.changed': CurationNews
  'job.changed': Job
  'job.progressed': JobProgress
  'job.removed': { id: JobId }
  'queue.changed': QueueStatus
  'run.changed': Run
  'run.progressed': { runId: RunId; points: MetricPoint[]; baselines: Baselines }
  'run.sampled': RunSample
  'autoencoder.changed': { chosen: AutoencoderInfo | null }
  'gallery.added': GalleryItem
  'gallery.changed': null
  'engine.changed': EngineStatus
  'system.warned': { message: string }
  'menu.chosen': { command: MenuCommand }
}

/**
 * Pictures travel by address, never by path: the host puts its own origin in front of these.
 * `item` is a training image exactly as the trainer gets it (`version` keeps older ones in a cache from being shown, `width` asks
 * for a smaller copy where it is wider);
 * `cropped` the training image that a crop of an item would lead to, by the function that would make it;
 * `original` the picture it was made from, no larger than a screen needs or with all its pixels (`full`); `checked` a training picture of a dry run; `latents`, `decoded` and `difference` what an autoencoder makes of an item and back; `clip` a frame of a clip exactly as the trainer gets it, `frame` a small look at a video; `picture` a
 * result; `sample` one drawn while training.
 */
export const mediaUrl = {
  item: (id: string, { width, version }: { width?: number; version?: string } = {}) => {
    const query = [...(width ? [`w=${width}`] : []), ...(version ? [`v=${version}`] : [])]
    return `media/item/${id}${query.length > 0 ? `?${query.join('&')}` : ''}`
  },
  cropped: (id: string, part: Crop) =>
    `media/cropped/${id}?crop=${part.kind === 'rectangle' ? [part.x, part.y, part.width, part.height].join() : part.kind}`,
  original: (id: string, { full }: { full?: boolean } = {}) => `media/original/${id}${full ? '?full=1' : ''}`,
  checked: (check: string, index: number) => `media/checked/${check}/${index}`,
  /** The lines of the ledger that a filter finds, as a file to keep. */
  ledger: (format: 'csv' | 'json', { state, reason, text }: LedgerFilter) =>
    `media/ledger/${format}?${new URLSearchParams({ ...(state ? { state } : {}), ...(reason ? { reason } : {}), text }).toString()}`,
  clip: (id: string, frame: number) => `media/clip/${id}/${frame}`,
  frame: (videoId: string, milliseconds: number) => `media/frame/${videoId}/${milliseconds}`,
  /** `frame` is that of a clip; a picture is its own only frame. */
  latents: (id: string, autoencoder: string, channel: number, frame = 0) => `media/latents/${id}/${autoencoder}/${channel}?frame=${frame}`,
  decoded: (id: string, autoencoder: string, frame = 0) => `media/decoded/${id}/${autoencoder}?frame=${frame}`,
  difference: (id: string, autoencoder: string, frame = 0) => `media/difference/${id}/${autoencoder}?frame=${frame}`,
  picture: (id: string, width?: number) => `media/picture/${id}${width ? `?w=${width}` : ''}`,
  sample: (runId: string, step: number, index: number) => `media/sample/${runId}/${step}/${index}`,
}
