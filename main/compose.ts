import { homedir } from 'node:os'
import { realpath } from 'node:fs/promises'
import { StudioError } from '#contracts/errors.ts'
import type { CallContext } from '#contracts/rpc.ts'
import type { StudioServices, SystemReport } from '#contracts/studio.ts'
import { EngineClient, forkEngine, type EngineLauncher } from './engine-process/client.ts'
import { captioningServices } from './services/captioning/captioning-services.ts'
import { autoencoderServices } from './services/autoencoder.ts'
import { curationServices } from './services/curation-services.ts'
import { datasetServices } from './services/dataset.ts'
import { importServices } from './services/import-wizard.ts'
import { ledgerServices } from './services/ledger.ts'
import type { Publish, StudioContext, StudioNews } from './services/context.ts'
import type { OpenProject } from './services/open-project.ts'
import { closeProject, openProject, projectServices } from './services/projects.ts'
import { systemServices } from './services/system.ts'
import { trainingServices } from './services/training.ts'
import { exportServices } from './services/export.ts'
import { videoServices } from './services/video.ts'
import { workServices } from './services/work.ts'
import { xrayServices } from './services/xray.ts'
import { explainFull } from './store/database.ts'
import { CaptionKeys } from './store/caption-keys.ts'
import { createProject, readProject } from './store/project-folder.ts'
import { defaultProjectsFolder, ProjectRegistry } from './store/registry.ts'
import { SafeFs } from './store/safe-fs.ts'

export interface StudioPorts {
  host: SystemReport['host']
  fs?: SafeFs
  launchEngine?: EngineLauncher
  /** Folder of the studio's own settings. */
  settingsFolder?: string
  projectsFolder?: string
  allowedRoots?: readonly string[]
  pickFolder?: () => Promise<string | null>
  pickFile?: () => Promise<string | null>
}

export interface Studio {
  services: StudioServices
  /** For hosts: which project is open, to serve its pictures. */
  current(): OpenProject | null
  context: StudioContext
  /** Listen to all news; returns the function that stops listening. */
  subscribe(listener: (heard: StudioNews) => void): () => void
  /** Opens the project in a folder; makes one there first if asked and none is there. */
  openFolder(folder: string, options?: { create: boolean; startQueue?: boolean }): Promise<void>
  close(): Promise<void>
}

/** The one place where the rooms are wired: the same studio for Electron, the headless host and the command line. */
export async function compose(ports: StudioPorts): Promise<Studio> {
  const listeners = new Set<(heard: StudioNews) => void>()
  const publish: Publish = (name, news) => listeners.forEach((listener) => listener({ name, news } as StudioNews))
  const fs = ports.fs ?? new SafeFs()
  const projectsFolder = ports.projectsFolder ?? defaultProjectsFolder()
  const roots = await Promise.all(
    [homedir(), projectsFolder, ...(ports.allowedRoots ?? [])].map((root) => realpath(root).catch(() => root)),
  )
  let current: OpenProject | null = null
  let turn: Promise<unknown> = Promise.resolve()

  const context: StudioContext = {
    host: ports.host,
    fs,
    registry: new ProjectRegistry(fs, ports.settingsFolder),
    captionKeys: new CaptionKeys(fs, ports.settingsFolder),
    engine: new EngineClient(ports.launchEngine ?? forkEngine, (status) => publish('engine.changed', status)),
    publish,
    allowedRoots: new Set(roots),
    projectsFolder,
    pickFolder: ports.pickFolder ?? null,
    pickFile: ports.pickFile ?? null,
    project: () => {
      if (!current) throw new StudioError('not-found', 'No project is open. Open or create one first.')
      return current
    },
    current: () => current,
    setCurrent: (project) => {
      current = project
    },
    inTurn: (work) => {
      const mine = turn.then(work)
      turn = mine.catch(() => undefined) // its caller hears of it
      return mine
    },
  }

  return {
    services: inPlainWords({
      ...systemServices(context),
      ...projectServices(context),
      ...datasetServices(context),
      ...importServices(context),
      ...ledgerServices(context),
      ...curationServices(context),
      ...captioningServices(context),
      ...videoServices(context),
      ...exportServices(context),
      ...trainingServices(context),
      ...workServices(context),
      ...xrayServices(context),
      ...autoencoderServices(context),
    }),
    current: () => current,
    context,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    openFolder: async (folder, { create, startQueue = true } = { create: false }) => {
      await context.inTurn(async () => {
        if (create && !(await readProject(folder)))
          await createProject(fs, folder, folder.split(/[\\/]/).findLast((part) => part !== '') ?? 'Project')
        await openProject(context, folder, { startQueue })
      })
    },
    close: async () => {
      await context.inTurn(() => closeProject(context))
      context.engine.close()
    },
  }
}

/** The same services; an index on a full disk is told as such. */
function inPlainWords(services: StudioServices): StudioServices {
  type Service = (request: unknown, call: CallContext) => Promise<unknown>
  const explained = Object.entries(services as Record<string, Service>).map(([name, service]): [string, Service] => [
    name,
    async (request, call) => {
      try {
        return await service(request, call)
      } catch (error) {
        throw explainFull(error)
      }
    },
  ])
  return Object.fromEntries(explained) as StudioServices
}
