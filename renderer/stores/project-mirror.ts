import { watch } from 'vue'
import type { ProjectId } from '#contracts/project.ts'
import { attempt } from '../composables/toasts.ts'
import { useStudio } from './studio.ts'

/** Loads what a store mirrors of the open project: at once, when another is opened, and when a lost connection has come back. */
export function mirrorProject(load: (id: ProjectId | null) => Promise<void>): void {
  const studio = useStudio()
  watch([() => studio.current?.id ?? null, () => studio.connections], ([id]) => void attempt(() => load(id)), { immediate: true })
}
