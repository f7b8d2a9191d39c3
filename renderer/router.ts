import { createRouter, createWebHashHistory } from 'vue-router'

/** The stages in the order of work; each has a key and a number on the rail. */
export const stages = ['import', 'curate', 'train', 'generate', 'gallery'] as const
export type Stage = (typeof stages)[number]

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', name: 'projects', component: () => import('./views/ProjectsView.vue') },
    { path: '/import', name: 'import', component: () => import('./views/ImportView.vue') },
    { path: '/import/clips', name: 'clips', component: () => import('./views/ClipsView.vue'), meta: { stage: 'import' } },
    { path: '/curate', name: 'curate', component: () => import('./views/CurateView.vue') },
    { path: '/curate/xray/:item', name: 'xray', component: () => import('./views/XrayView.vue'), meta: { stage: 'curate' } },
    {
      path: '/curate/duplicates/:item?',
      name: 'duplicates',
      component: () => import('./views/DuplicatesView.vue'),
      meta: { stage: 'curate' },
    },
    { path: '/train/:run?', name: 'train', component: () => import('./views/TrainView.vue') },
    { path: '/generate', name: 'generate', component: () => import('./views/GenerateView.vue') },
    { path: '/gallery/:picture?', name: 'gallery', component: () => import('./views/GalleryView.vue') },
    { path: '/:rest(.*)', redirect: '/' },
  ],
})
