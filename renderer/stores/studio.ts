import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import type { ProjectId, ProjectSummary } from '#contracts/project.ts'
import type { SystemReport } from '#contracts/studio.ts'
import { call, onNews, onOpen } from '../client/studio-client.ts'

/** The studio itself: what it runs on, its projects, and which one is open. */
export const useStudio = defineStore('studio', () => {
  const system = ref<SystemReport | null>(null)
  const projects = ref<ProjectSummary[]>([])
  const loaded = ref(false)
  /** How often the studio has been reached; a mirror of an earlier connection is old. */
  const connections = ref(0)
  const current = computed(() => projects.value.find(({ open }) => open) ?? null)

  async function refresh(): Promise<void> {
    projects.value = await call('projects.list', null)
    loaded.value = true
    connections.value++
    system.value = await call('system.describe', null)
  }
  onOpen(() => void refresh())
  onNews('projects.changed', () => void call('projects.list', null).then((list) => (projects.value = list)))
  onNews('engine.changed', (engine) => {
    if (system.value) system.value = { ...system.value, engine }
  })

  return {
    system,
    projects,
    loaded,
    connections,
    current,
    create: (name: string) => call('projects.create', { name }),
    open: (id: ProjectId) => call('projects.open', { id }),
    rename: (id: ProjectId, name: string) => call('projects.rename', { id, name }),
    trash: (id: ProjectId) => call('projects.trash', { id }),
    restore: (id: ProjectId) => call('projects.restore', { id }),
  }
})
