import { onBeforeUnmount, ref, watch, type Ref } from 'vue'

const shortestMs = 4000
const longestMs = 12_000
const tokenMs = 60

export interface Playhead {
  /** Tokens passed, 0 to the length of the path; parts lie on the way to the next. */
  head: Ref<number>
  playing: Ref<boolean>
  /** 1 shows a whole path in 4 to 12 seconds. */
  speed: Ref<number>
  play: () => void
  pause: () => void
  toggle: () => void
}

/** Moves along a path of so many tokens. People who want less motion see whole steps and nothing that starts by itself. */
export function usePlayhead(length: () => number): Playhead & { calm: boolean } {
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches
  const head = ref(0)
  const playing = ref(false)
  const speed = ref(1)
  let exact = 0
  let before = 0
  let frame = 0

  const move = (now: number) => {
    const wholeMs = Math.min(longestMs, Math.max(shortestMs, length() * tokenMs)) / speed.value
    exact = Math.min(length(), exact + ((now - before) / wholeMs) * length())
    before = now
    head.value = calm ? Math.floor(exact) : exact
    if (exact >= length()) playing.value = false
    else frame = requestAnimationFrame(move)
  }
  const play = () => {
    exact = head.value >= length() ? 0 : head.value
    before = performance.now()
    playing.value = true
    cancelAnimationFrame(frame)
    frame = requestAnimationFrame(move)
  }
  const pause = () => {
    playing.value = false
    cancelAnimationFrame(frame)
  }
  watch(playing, (now) => !now && cancelAnimationFrame(frame))
  onBeforeUnmount(() => cancelAnimationFrame(frame))
  return { head, playing, speed, play, pause, toggle: () => (playing.value ? pause() : play()), calm }
}
