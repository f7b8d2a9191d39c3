import { createRouter, createWebHashHistory } from 'vue-router'

/** The stages in the order of work; each has a key and a number on the rail. */
export const stages = ['import', 'curate', 'train', 'generate', 'gallery'] as const
export type Stage = (typeof stages)[number]

const views = {
  projects: () => import('./views/ProjectsView.vue'),
  import: () => import('./views/ImportView.vue'),
  clips: () => import('./views/ClipsView.vue'),
  curate: () => import('./views/CurateView.vue'),
  xray: () => import('./views/XrayView.vue'),
  duplicates: () => import('./views/DuplicatesView.vue'),
  train: () => import('./views/TrainView.vue'),
  generate: () => import('./views/GenerateView.vue'),
  gallery: () => import('./views/GalleryView.vue'),
}

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', name: 'projects', component: views.projects },
    { path: '/import', name: 'import', component: views.import },
    { path: '/import/clips', name: 'clips', component: views.clips, meta: { stage: 'import' } },
    { path: '/curate', name: 'curate', component: views.curate },
    { path: '/curate/xray/:item', name: 'xray', component: views.xray, meta: { stage: 'curate' } },
    { path: '/curate/duplicates/:item?', name: 'duplicates', component: views.duplicates, meta: { stage: 'curate' } },
    { path: '/train/:run?', name: 'train', component: views.train },
    { path: '/generate', name: 'generate', component: views.generate },
    { path: '/gallery/:picture?', name: 'gallery', component: views.gallery },
    { path: '/:rest(.*)', redirect: '/' },
  ],
})

/** Loads the code of all views, one after the other while nothing else is to be done: a stage that is opened then waits for its data only. */
export async function loadViews(): Promise<void> {
  for (const load of Object.values(views)) {
    await new Promise((resolve) => requestIdleCallback(resolve))
    await load()
  }
}
