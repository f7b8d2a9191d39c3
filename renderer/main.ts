import '@fontsource-variable/inter'
import 'uplot/dist/uPlot.min.css'
import './styles/tokens.css'
import './styles/base.css'
import { createPinia } from 'pinia'
import { createApp, type Component } from 'vue'
import App from './App.vue'
import { i18n } from './locales/i18n.ts'
import { router } from './router.ts'

createApp(App as Component)
  .use(createPinia())
  .use(i18n)
  .use(router)
  .mount('#app')
