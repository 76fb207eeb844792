// Opens every page, tab and drawer of Flink's dashboard in headless Chromium and prints what went wrong, a line each.
//   node dashboard.js URL FOLDER      FOLDER gets a picture a page
const { chromium } = require('playwright-core');

const [base, folder] = process.argv.slice(2);
const chrome = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

async function json(path) {
  return (await fetch(base + path)).json();
}

async function main() {
  const job = (await json('/jobs')).jobs.find(j => j.status === 'RUNNING').id;
  const vertex = (await json(`/jobs/${job}`)).vertices.find(v => !v.name.startsWith('Source')).id;
  const manager = (await json('/taskmanagers')).taskmanagers[0].id;
  const pages = ['/overview', '/application/running', '/application/completed', `/application/running/${job}`, '/job/running', '/job/completed', '/submit'];
  for (const tab of ['overview', 'exceptions', 'data-skew', 'timeline', 'checkpoints', 'configuration', 'rescales']) pages.push(`/job/running/${job}/${tab}`);
  for (const tab of ['detail', 'subtasks', 'taskmanagers', 'watermarks', 'accumulators', 'backpressure', 'metrics', 'flamegraph']) {
    pages.push(`/job/running/${job}/overview/${vertex}/${tab}`);
  }
  pages.push('/task-manager');
  for (const tab of ['metrics', 'logs', 'stdout', 'log', 'thread-dump', 'profiler']) pages.push(`/task-manager/${manager}/${tab}`);
  for (const tab of ['metrics', 'config', 'logs', 'stdout', 'log', 'thread-dump', 'profiler']) pages.push(`/job-manager/${tab}`);

  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chrome });
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  let at = '';
  page.on('response', r => r.status() >= 400 && console.log(`${at}: ${r.status()} ${r.request().method()} ${r.url().slice(base.length)}`));
  page.on('pageerror', e => console.log(`${at}: ${String(e).split('\n')[0]}`));
  for (const path of pages) {
    at = path;
    await page.goto(`${base}/#${path}`);
    await page.waitForLoadState('networkidle');
    await page.screenshot({ path: `${folder}/${path.slice(1).replaceAll('/', '_').replaceAll(job, 'JOB').replaceAll(vertex, 'VERTEX').replaceAll(manager, 'TM')}.png` });
  }
  console.log(`pages ${pages.length}`);
  await browser.close();
}

main().catch(e => { console.log(`failed: ${e}`); process.exit(1); });
