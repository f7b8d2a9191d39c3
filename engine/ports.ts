import type { LatentScale } from '#contracts/autoencoder.ts'
import type { EngineEvents } from '#contracts/engine.ts'
import type { MetricPoint } from '#contracts/studio.ts'
import type { NativeRuntime } from './runtime/native.ts'

/** A data set as the trainer sees it. Items are numbered 0..size-1 in the order of the snapshot. */
export interface DatasetReader extends Disposable {
  readonly size: number
  readonly imageSize: number
  /** Names of the items, for people to find them by. */
  readonly ids: readonly string[]
  /** The captions of each item, the one that counts first; '' where it has none. */
  readonly captions: readonly (readonly string[])[]
  readonly splits: readonly ('train' | 'validation')[]
  /** How often an epoch shows each item, 1 or more; held-out items are counted once. */
  readonly repeats: readonly number[]
  /** sha256 of each item's RGB bytes, as they were when it was imported. */
  readonly pixelHashes: readonly string[]
  /** RGB bytes of one item, imageSize x imageSize x 3, row by row; in `into`, where it is given. */
  image(index: number, into?: Uint8Array): Uint8Array
}

/** The files of an autoencoder, as the host hands them in. */
export interface AutoencoderFiles extends LatentScale {
  encoder: Uint8Array
  decoder: Uint8Array
  /** What its configuration says, where it has one: needed only for models that do not say it themselves. */
  latentChannels: number | null
  factor: number | null
}

/** What an encoder makes of things: one encoder, one form of result. */
export interface FeatureGroup {
  kind: 'latents' | 'text'
  /** Names the encoder and all that its results depend on. */
  encoder: string
  dtype: 'f32' | 'f16'
  shape: readonly number[]
}

/** Version of the way from pixels to kept latents: with another, everything is encoded again. */
const latentsVersion = 1

/** Names what makes latents, as the `encoder` of their group. */
export function latentsEncoder(autoencoderHash: string): string {
  return `${autoencoderHash} ${latentsVersion}`
}

/** What an item's latents are kept under: its pixels, and which way round. A caption is no part of it. */
export function latentsSource(pixelHash: string, mirrored: boolean): string {
  return mirrored ? `${pixelHash} mirrored` : pixelHash
}

/**
 * Results of an encoder by what they were made from (`source`, any text: a hash of pixels, a caption). May be deleted at any time: what is not
 * there is made again.
 */
export interface FeatureStore extends Disposable {
  has(source: string): boolean
  /** Null where there is none, or one that is not what was written; of the latter `isDamaged` knows until it is written again. */
  read(source: string): Uint8Array | null
  isDamaged(source: string): boolean
  /** Kept on the disk soon, and at the latest when `flush` has resolved. @throws StudioError disk-full. */
  write(source: string, bytes: Uint8Array): Promise<void>
  flush(): Promise<void>
  /** The whole list of what cannot be encoded, in place of the one before. */
  quarantine(items: readonly { source: string; item: string; reason: string }[]): Promise<void>
}

export interface StoredCheckpoint {
  step: number
  /** sha256 over the manifest: names the weights. */
  hash: string
  files: ReadonlyMap<string, Uint8Array>
}

/** Checkpoints of one run. What `write` has resolved is on the disk and verified. */
export interface CheckpointStore {
  write(step: number, files: ReadonlyMap<string, Uint8Array>, keep: number): Promise<{ hash: string; sizeBytes: number }>
  /** The newest one that verifies, stepping back over broken ones; null when there is none. */
  newest(): Promise<StoredCheckpoint | null>
  /** @throws StudioError not-found or corrupt-file. */
  at(step: number): Promise<StoredCheckpoint>
}

/** A run's metrics.jsonl. */
export interface MetricsLog {
  append(points: readonly MetricPoint[]): Promise<void>
  readAll(): Promise<MetricPoint[]>
  /** Forget what lies after a step: a resumed run writes it again. */
  truncateAfter(step: number): Promise<void>
}

/** The files of a model that somebody else made. */
export interface ModelFolder {
  /**
   * A file's bytes and their sha256; null where there is none of that name, here or in the folder `onnx`.
   *
   * @throws StudioError unsafe-file for a link or what is larger than `limitBytes`.
   */
  read(name: string, limitBytes: number): Promise<{ bytes: Uint8Array; sha256: string } | null>
}

/** What the engine asks of the process that hosts it. */
export interface EnginePorts {
  /** @throws NativeLoadError with a sentence that says what to do. */
  openRuntime(): NativeRuntime
  openDataset(folder: string, snapshot: string): Promise<DatasetReader>
  /** @throws StudioError corrupt-file when its files are not those that it had. */
  openAutoencoder(folder: string): Promise<AutoencoderFiles>
  openFeatures(cacheFolder: string, group: FeatureGroup): Promise<FeatureStore>
  /** sha256 of bytes, as hexadecimal digits. */
  hash(bytes: Uint8Array): string
  checkpoints(runFolder: string): CheckpointStore
  metrics(runFolder: string): MetricsLog
  modelFolder(path: string): ModelFolder
  publish<K extends keyof EngineEvents>(name: K, news: EngineEvents[K]): void
  /** The device is lost to this process, which is to end once its answers are out. */
  deviceLost(sentence: string): void
  /** Milliseconds that only go forward. */
  now(): number
}
