import { onBeforeUnmount, onMounted } from 'vue'

/** Keys by name ("Ctrl+Enter", "P", "Delete") and what they do. Ctrl stands for Cmd on a Mac. */
export type KeyMap = Readonly<Record<string, (event: KeyboardEvent) => void>>

/** The name of a pressed key, as key maps and tooltips write it. */
export function keyName(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>): string {
  const key = event.key === ' ' ? 'Space' : event.key.length === 1 ? event.key.toUpperCase() : event.key
  const shifted = event.shiftKey && key.length > 1
  return `${event.ctrlKey || event.metaKey ? 'Ctrl+' : ''}${event.altKey ? 'Alt+' : ''}${shifted ? 'Shift+' : ''}${key}`
}

/** Whether something needs a key itself: a dialog or a menu is open, text is being typed, a slider is being moved, a button pressed. */
function isTaken(name: string, target: HTMLElement | null): boolean {
  if (!target) return false
  if (target.closest('[role="dialog"], [role="menu"]')) return true
  const isText = target.closest('input:not([type="range"], [type="checkbox"]), textarea, select, [contenteditable]') !== null
  if (name.startsWith('Ctrl+')) return isText && /^Ctrl\+[ACVXYZ]$/.test(name)
  if (isText) return true
  if (target.closest('input[type="range"]')) return /^(Arrow|Page|Home|End)/.test(name)
  return (name === 'Space' || name === 'Enter') && target.closest('button, a, summary, input') !== null
}

/** Single keys sleep while the control that has the focus needs them; those with Ctrl do not. */
export function useKeys(map: KeyMap): void {
  const listen = (event: KeyboardEvent) => {
    const name = keyName(event)
    const action = map[name]
    if (!action || event.defaultPrevented) return
    if (isTaken(name, event.target as HTMLElement | null)) return
    event.preventDefault()
    action(event)
  }
  onMounted(() => window.addEventListener('keydown', listen))
  onBeforeUnmount(() => window.removeEventListener('keydown', listen))
}
