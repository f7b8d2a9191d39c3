import { ref } from 'vue'
import { StudioError, toWire, type StudioErrorCode, type WireError } from '#contracts/errors.ts'

export interface Toast {
  id: number
  text: string
  tone: 'plain' | 'bad'
  code: StudioErrorCode | null
  details?: WireError['details']
  undo: (() => void) | null
}

const shownMs = 8000
let nextId = 0

/** What has just happened, newest last. */
export const toasts = ref<Toast[]>([])

/** Says what happened; with `undo`, offers to take it back. Returns the toast's id. */
export function say(text: string, undo: (() => void) | null = null): number {
  const id = nextId++
  show({ id, text, tone: 'plain', code: null, undo })
  return id
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

/** Runs an action; a failure is shown with its own sentence. Gives whether it went well. */
export async function attempt(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (error) {
    if (error instanceof StudioError && error.code === 'cancelled') return false
    const { message, ...told } = toWire(error)
    show({ id: nextId++, text: message, tone: 'bad', ...told, undo: null })
    return false
  }
}

function show(toast: Toast): void {
  toasts.value = [...toasts.value.slice(-3), toast]
  if (toast.tone === 'plain') setTimeout(() => dismiss(toast.id), shownMs)
}
