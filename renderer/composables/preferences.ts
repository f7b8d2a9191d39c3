import { ref, watchEffect } from 'vue'
import { i18n, locales, type LocaleName } from '../locales/i18n.ts'

export type Theme = 'system' | 'dark' | 'light'

const system = window.matchMedia('(prefers-color-scheme: light)')
const systemIsLight = ref(system.matches)
system.addEventListener('change', ({ matches }) => (systemIsLight.value = matches))

/** Kept on this machine; the system's choice until one is made. */
export const theme = ref<Theme>(stored('zigma.theme', ['system', 'dark', 'light'], 'system'))
export const locale = ref<LocaleName>(stored('zigma.locale', locales, navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'))

/** Whether the inspector is unfolded. */
export const inspectorOpen = ref(stored('zigma.inspector', ['open', 'folded'], 'open') === 'open')

watchEffect(() => localStorage.setItem('zigma.inspector', inspectorOpen.value ? 'open' : 'folded'))
watchEffect(() => {
  document.documentElement.dataset.theme = theme.value === 'system' ? (systemIsLight.value ? 'light' : 'dark') : theme.value
  localStorage.setItem('zigma.theme', theme.value)
})
watchEffect(() => {
  i18n.global.locale.value = locale.value
  document.documentElement.lang = locale.value
  localStorage.setItem('zigma.locale', locale.value)
})

function stored<T extends string>(key: string, choices: readonly T[], otherwise: T): T {
  const value = localStorage.getItem(key)
  return choices.find((choice) => choice === value) ?? otherwise
}
