import { onBeforeUnmount, onMounted } from 'vue'

/** Keys by name ("Ctrl+Enter", "P", "Delete") and what they do. Ctrl stands for Cmd on a Mac. */
export type KeyMap = Readonly<Record<string, (event: KeyboardEvent) => void>>

/** The name of a pressed key, as key maps and tooltips write it. */
export function keyName(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>): string {
  const key = event.key === ' ' ? 'Space' : event.key.length === 1 ? event.key.toUpperCase() : event.key
  const shifted = event.shiftKey && key.length > 1
  return `${event.ctrlKey || event.metaKey ? 'Ctrl+' : ''}${event.altKey ? 'Alt+' : ''}${shifted ? 'Shift+' : ''}${key}`
}

/** Single keys sleep while text is being typed; those with Ctrl do not. Under a dialog or a menu all sleep: its own Escape and arrows count. */
export function useKeys(map: KeyMap): void {
  const listen = (event: KeyboardEvent) => {
    const name = keyName(event)
    const action = map[name]
    if (!action || event.defaultPrevented) return
    const target = event.target as HTMLElement | null
    if (target?.closest('[role="dialog"], [role="menu"]')) return
    if (!name.startsWith('Ctrl+') && target?.closest('input, textarea, select, [contenteditable]')) return
    event.preventDefault()
    action(event)
  }
  onMounted(() => window.addEventListener('keydown', listen))
  onBeforeUnmount(() => window.removeEventListener('keydown', listen))
}
