import type { EngineEvents } from '#contracts/engine.ts'
import type { MetricPoint } from '#contracts/studio.ts'
import type { NativeRuntime } from './runtime/native.ts'

/** A data set as the trainer sees it. Items are numbered 0..size-1 in the order of the snapshot. */
export interface DatasetReader extends Disposable {
  readonly size: number
  readonly imageSize: number
  /** The captions of each item, the one that counts first; '' where it has none. */
  readonly captions: readonly (readonly string[])[]
  readonly splits: readonly ('train' | 'validation')[]
  /** RGB bytes of one item, imageSize x imageSize x 3, row by row; in `into`, where it is given. */
  image(index: number, into?: Uint8Array): Uint8Array
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
  checkpoints(runFolder: string): CheckpointStore
  metrics(runFolder: string): MetricsLog
  modelFolder(path: string): ModelFolder
  publish<K extends keyof EngineEvents>(name: K, news: EngineEvents[K]): void
  /** Milliseconds that only go forward. */
  now(): number
}
