import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import type { Job } from '#contracts/job.ts'
import type { ClipOptions, ClipRules, FoundVideo, PlanRemedy, ProbeAnswer, SceneScores, VideoId, VideoPlan } from '#contracts/video.ts'
import { call, onNews } from '../client/studio-client.ts'
import { defaultSlicing, hasOwnThreshold, keptSlicing, thresholdOf, trimOfVideo } from '../composables/slicing-settings.ts'
import { attempt } from '../composables/toasts.ts'
import { useDataset } from './dataset.ts'
import { mirrorProject } from './project-mirror.ts'
import { useQueue } from './queue.ts'
import { useStudio } from './studio.ts'

const planAfterMs = 60
/** So many videos are looked at to find one that can be read. */
const firstLooks = 20

/** A folder of videos, what is known of them, and how they are to be cut; the settings are kept for each project. */
export const useSlicing = defineStore('slicing', () => {
  const studio = useStudio()
  const dataset = useDataset()
  const queue = useQueue()
  const folder = ref<string | null>(null)
  const options = ref<ClipOptions>(defaultSlicing().options)
  /** Null while the folder is being read. */
  const videos = shallowRef<readonly FoundVideo[] | null>(null)
  /** Why the folder cannot be read, as one sentence. */
  const problem = ref<string | null>(null)
  const answers = shallowRef<Readonly<Record<string, ProbeAnswer>>>({})
  const scores = shallowRef<Readonly<Record<string, SceneScores>>>({})
  const plans = shallowRef<Readonly<Record<string, VideoPlan>>>({})
  const chosenId = ref<VideoId | null>(null)
  /** Goes up when videos were cut: the ledger is another one. */
  const revision = ref(0)
  const asked = new Map<string, Promise<void>>()

  const chosen = computed(() => videos.value?.find(({ id }) => id === chosenId.value) ?? null)
  const probe = computed(() => (chosenId.value && answers.value[chosenId.value]?.probe) || null)
  const jobs = computed(() => queue.jobs.filter(({ state }) => state === 'running' || state === 'queued'))
  const importing = computed(() => jobs.value.find(({ payload }) => payload.kind === 'clips') ?? null)
  const seeking = computed(() => jobs.value.find(({ payload }) => payload.kind === 'scenes' && payload.videoId === chosenId.value) ?? null)
  /** The last attempt to find the chosen video's scenes or to cut this folder, where it failed. */
  const failed = computed(() => {
    const isMine = ({ payload }: Job) =>
      (payload.kind === 'scenes' && payload.videoId === chosenId.value) || (payload.kind === 'clips' && payload.path === folder.value)
    const last = queue.jobs.findLast(isMine)
    return last?.state === 'failed' ? last : null
  })
  /** The rules of a video: the common ones with its own threshold. */
  const rulesOf = (source: string): ClipRules => ({ ...options.value.rules, cutThreshold: thresholdOf(options.value, source) })

  const keyOf = (id: string) => `zigma.slicing.${id}`
  function keep(): void {
    if (studio.current) localStorage.setItem(keyOf(studio.current.id), JSON.stringify({ folder: folder.value, options: options.value }))
  }
  watch([folder, options], keep)

  /** Reads a folder. What was set for videos of another one is forgotten. */
  async function openFolder(path: string, of: ClipOptions = { ...options.value, trims: [], thresholds: [] }): Promise<void> {
    ;[folder.value, options.value, problem.value, videos.value, chosenId.value] = [path, of, null, null, null]
    ;[answers.value, scores.value, plans.value] = [{}, {}, {}]
    asked.clear()
    try {
      const found = await call('video.list', { path })
      if (folder.value !== path) return
      videos.value = found
      await chooseFirst(found)
    } catch (error) {
      if (folder.value !== path) return
      videos.value = []
      problem.value = error instanceof Error ? error.message : String(error)
    }
  }

  mirrorProject(async (id) => {
    const kept = keptSlicing(id && localStorage.getItem(keyOf(id)))
    ;[folder.value, options.value, videos.value, chosenId.value, problem.value] = [null, kept.options, null, null, null]
    if (kept.folder) await openFolder(kept.folder, kept.options)
  })
  watch(
    () => ((dataset.summary?.items ?? 0) > 0 ? dataset.summary!.imageSize : null),
    (fixed) => fixed && fixed !== options.value.imageSize && (options.value = { ...options.value, imageSize: fixed }),
    { immediate: true },
  )

  /** Probes videos that come into sight, each once. */
  async function probeAll(ids: readonly string[]): Promise<void> {
    const of = folder.value
    const probeOne = async (id: string) => {
      const answer = await call('video.probe', { id })
      if (folder.value === of) answers.value = { ...answers.value, [id]: answer }
    }
    for (const id of ids) {
      if (asked.has(id)) continue
      const answered = probeOne(id)
      asked.set(id, answered)
      answered.catch(() => asked.delete(id)) // its caller hears of it; the next one asks again
    }
    await Promise.all(ids.flatMap((id) => asked.get(id) ?? []))
  }
  /** The first of a folder that can be read. */
  async function chooseFirst(found: readonly FoundVideo[]): Promise<void> {
    for (const { id } of found.slice(0, firstLooks)) {
      await probeAll([id])
      if (chosenId.value !== null || videos.value !== found) return
      if (answers.value[id]?.probe) return choose(id)
    }
    if (found[0]) choose(found[0].id)
  }

  function choose(id: VideoId): void {
    chosenId.value = id
    void attempt(async () => {
      await probeAll([id])
      await loadScores(id)
    })
  }
  async function loadScores(id: VideoId): Promise<void> {
    if (!answers.value[id]?.probe || scores.value[id]) return
    const there = await call('video.scores', { id })
    if (there) scores.value = { ...scores.value, [id]: there }
    else if (chosenId.value === id && thresholdOf(options.value, chosen.value?.source ?? '') !== null && !seeking.value)
      await call('video.scenes', { id })
  }
  onNews('job.changed', ({ payload, state }) => {
    if (state !== 'done') return
    if (payload.kind === 'clips') revision.value++
    if (payload.kind !== 'scenes' || !answers.value[payload.videoId]) return
    void attempt(() => loadScores(payload.videoId))
  })

  /** Each video that is cut while others wait is in the ledger at once. */
  watch(
    () => (importing.value ? (queue.progressOf(importing.value)?.done ?? 0) : 0),
    (done) => done > 0 && revision.value++,
  )

  let planning: AbortController | null = null
  let waiting = 0
  watch(
    () => ({
      video: chosen.value,
      probe: probe.value,
      scored: chosenId.value ? scores.value[chosenId.value] : undefined,
      options: options.value,
    }),
    ({ video, probe: known, scored }) => {
      clearTimeout(waiting)
      planning?.abort()
      if (!video || !known) return
      const mine = (planning = new AbortController())
      waiting = window.setTimeout(() => {
        void attempt(async () => {
          const rules = rulesOf(video.source)
          const request = {
            id: video.id,
            rules: scored ? rules : { ...rules, cutThreshold: null },
            trim: trimOfVideo(options.value, video.source),
            ownThreshold: hasOwnThreshold(options.value, video.source),
          }
          const plan = await call('video.plan', request, { signal: mine.signal })
          if (!mine.signal.aborted) plans.value = { ...plans.value, [video.id]: plan }
        })
      }, planAfterMs)
    },
  )

  /** What would use more of a video by the rules as they are now; nothing for one that is not in the folder any more. */
  async function remediesOf(source: string): Promise<readonly PlanRemedy[]> {
    const video = videos.value?.find((one) => one.source === source)
    if (!video) return []
    const rules = rulesOf(source)
    if (rules.cutThreshold !== null && !(await call('video.scores', { id: video.id }))) return []
    const own = { trim: trimOfVideo(options.value, source), ownThreshold: hasOwnThreshold(options.value, source) }
    return (await call('video.plan', { id: video.id, rules, ...own })).remedies
  }

  /** Changes one rule; gives back how to take it back. */
  function follow({ rule, value }: PlanRemedy): () => void {
    const before = options.value
    options.value = { ...before, rules: { ...before.rules, [rule]: value } }
    return () => (options.value = before)
  }

  /** Looks for the scenes of the chosen video. */
  async function seek(): Promise<void> {
    if (chosenId.value) await call('video.scenes', { id: chosenId.value })
  }

  /** Puts the cutting of all videos in the queue. */
  async function importAll(): Promise<void> {
    if (folder.value) await call('video.import', { path: folder.value, options: options.value })
  }

  return {
    ...{ folder, options, videos, problem, answers, scores, plans, chosenId, chosen, probe, importing, seeking, failed, revision },
    ...{ rulesOf, openFolder, probeAll, choose, remediesOf, follow, seek, importAll },
  }
})
