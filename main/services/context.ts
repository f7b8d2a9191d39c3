import type { StudioEvents, SystemReport } from '#contracts/studio.ts'
import type { EngineClient } from '../engine-process/client.ts'
import type { CaptionKeys } from '../store/caption-keys.ts'
import type { ProjectRegistry } from '../store/registry.ts'
import type { SafeFs } from '../store/safe-fs.ts'
import type { OpenProject } from './open-project.ts'

export type Publish = <K extends keyof StudioEvents>(name: K, news: StudioEvents[K]) => void

/** News with its name, so that `name` tells what `news` is. */
export type StudioNews = { [K in keyof StudioEvents]: { name: K; news: StudioEvents[K] } }[keyof StudioEvents]

/** What the services share. One project is open at a time. */
export interface StudioContext {
  readonly host: SystemReport['host']
  readonly fs: SafeFs
  readonly registry: ProjectRegistry
  readonly engine: EngineClient
  readonly captionKeys: CaptionKeys
  readonly publish: Publish
  /** Folders under which sources may be read and browsed. Electron adds what its dialog returned. */
  readonly allowedRoots: Set<string>
  readonly projectsFolder: string
  /** A native folder dialog; null where the host has none. */
  readonly pickFolder: (() => Promise<string | null>) | null
  /** The same for a file. */
  readonly pickFile: (() => Promise<string | null>) | null
  /** @throws StudioError not-found when no project is open. */
  project(): OpenProject
  current(): OpenProject | null
  setCurrent(project: OpenProject | null): void
  /** Opening, closing and moving projects happens one after the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
}
