// Walks through a Flink dashboard in headless Chromium as a person would, and prints what went wrong, a line each; last `pages N clicks M`.
//   node dashboard.js RELEASE URL JAR ARGUMENTS FOLDER
// RELEASE is 2.3 or 1.12. A job runs already. JAR is uploaded, planned, run with ARGUMENTS, cancelled and deleted. FOLDER gets a picture a page.
const { chromium } = require('playwright-core');

const [release, base, jar, jobArguments, folder] = process.argv.slice(2);
const chrome = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const deadline = 15000;
let refresh = 0;
// What opens something and changes nothing: rows, panels, kinds of flame graph, tabs inside a page.
const harmless = '.ant-table-row-expand-icon-collapsed, .ant-collapse-header[aria-expanded=false], .ant-radio-button-wrapper:not(.ant-radio-button-wrapper-checked), .ant-tabs-tab:not(.ant-tabs-tab-active)';
const clicksAPage = 12;

async function json(path) {
  return (await fetch(base + path)).json();
}

const jobPage = job => release === '1.12' ? `/job/${job}` : `/job/running/${job}`;

function pagesOf(job, vertex, manager) {
  const news = release !== '1.12';
  const pages = ['/overview', '/job/running', '/job/completed', '/submit', '/task-manager'];
  const jobTabs = ['overview', 'exceptions', 'timeline', 'checkpoints', 'configuration'];
  const vertexTabs = ['detail', 'subtasks', 'taskmanagers', 'watermarks', 'accumulators', 'backpressure', 'metrics'];
  const managerTabs = ['metrics', 'logs', 'stdout', 'log-list', 'thread-dump'];
  const masterTabs = ['metrics', 'config', 'logs', 'stdout', 'log'];
  if (news) {
    pages.push('/application/running', '/application/completed', `/application/running/${job}`);
    jobTabs.push('dataskew', 'rescales');
    vertexTabs.push('flamegraph');
    managerTabs.splice(3, 1, 'log', 'profiler');
    masterTabs.push('thread-dump', 'profiler');
  }
  for (const tab of jobTabs) pages.push(`${jobPage(job)}/${tab}`);
  for (const tab of vertexTabs) pages.push(`${jobPage(job)}/overview/${vertex}/${tab}`);
  for (const tab of managerTabs) pages.push(`/task-manager/${manager}/${tab}`);
  for (const tab of masterTabs) pages.push(`/job-manager/${tab}`);
  return pages;
}

async function main() {
  refresh = (await json('/config'))['refresh-interval'];
  const job = (await json('/jobs')).jobs.find(j => j.status === 'RUNNING').id;
  const vertex = (await json(`/jobs/${job}`)).vertices.find(v => !v.name.startsWith('Source')).id;
  const manager = (await json('/taskmanagers')).taskmanagers[0].id;
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chrome });
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(deadline);
  let at = '';
  let clicks = 0;
  page.on('response', r => r.status() >= 400 && console.log(`${at}: ${r.status()} ${r.request().method()} ${r.url().slice(base.length)}`));
  page.on('pageerror', e => console.log(`${at}: ${String(e).split('\n')[0]}`));
  page.on('console', m => m.type() === 'error' && console.log(`${at}: console: ${m.text().split('\n')[0].slice(0, 200)}`));
  const picture = name => page.screenshot({ path: `${folder}/${name.replaceAll('/', '_').replaceAll(job, 'JOB').replaceAll(vertex, 'VERTEX').replaceAll(manager, 'TM')}.png` });
  // Loaded: no placeholder is left, and the page has had a refresh in which to ask for more.
  const settled = async () => {
    await page.waitForLoadState('load');
    try {
      await page.waitForFunction(() => ![...document.querySelectorAll('.ant-skeleton, .ant-spin-spinning')].some(e => e.offsetParent), null, { timeout: deadline });
    } catch (e) {
      console.log(`${at}: still loading after ${deadline} ms`);
    }
    await page.waitForTimeout(refresh + 300);
  };
  const go = async path => {
    at = path;
    await page.goto(`${base}/#${path}`);
    await settled();
  };

  const pages = pagesOf(job, vertex, manager);
  for (const path of pages) {
    await go(path);
    await picture(path.slice(1));
    for (let n = 0; n < clicksAPage; n++) {
      const things = await page.locator(harmless).all();
      const seen = [];
      for (const thing of things) if (await thing.isVisible() && !(await thing.getAttribute('data-clicked'))) seen.push(thing);
      if (seen.length === 0) break;
      await seen[0].evaluate(e => e.setAttribute('data-clicked', 'yes'));
      at = `${path} click ${n + 1} (${(await seen[0].innerText()).split('\n')[0]})`;
      await seen[0].click({ force: true });
      clicks++;
      await settled();
      if (n === 0) await picture(`${path.slice(1)}_opened`);
    }
  }

  // Upload, plan, run, cancel, delete.
  await go('/submit');
  const name = jar.split('/').pop();
  at = 'upload';
  await page.setInputFiles('input[type=file]', jar);
  await page.getByText(name, { exact: true }).first().waitFor();
  await page.getByText(name, { exact: true }).first().click();
  await page.getByPlaceholder('Program Arguments').locator('visible=true').fill(jobArguments);
  await page.getByPlaceholder('Parallelism').locator('visible=true').fill('1');
  await picture('submit_filled');
  at = 'plan';
  await page.getByText('Show Plan').locator('visible=true').click();
  await page.locator('.ant-drawer svg .node, .ant-modal svg .node').first().waitFor();
  await settled();
  await picture('submit_plan');
  await page.locator('.ant-drawer-open .ant-drawer-close').last().click();
  await settled();
  at = 'run';
  await page.locator('button', { hasText: /^\s*Submit\s*$/ }).locator('visible=true').first().click();
  await page.waitForURL(/#\/job\/(running\/)?[0-9a-f]{32}/);
  const started = page.url().match(/[0-9a-f]{32}/)[0];
  await settled();
  await picture('submit_started');
  at = 'cancel';
  await page.getByText('Cancel Job').first().click();
  await page.locator('.ant-popover-buttons button.ant-btn-primary, .ant-popconfirm-buttons button.ant-btn-primary').first().click();
  for (const end = Date.now() + deadline; (await json(`/jobs/${started}`)).state !== 'CANCELED';) {
    if (Date.now() > end) throw new Error(`job ${started} was not cancelled`);
    await page.waitForTimeout(100);
  }
  await picture('submit_cancelled');
  at = 'delete';
  await go('/submit');
  await page.locator('tr', { hasText: name }).getByText('Delete', { exact: true }).first().click();
  await page.locator('.ant-popover-buttons button.ant-btn-primary, .ant-popconfirm-buttons button.ant-btn-primary').first().click();
  await page.getByText(name, { exact: true }).first().waitFor({ state: 'detached' });
  await picture('submit_deleted');
  await go('/job/completed');
  await page.getByText('CANCELED').first().waitFor();
  await go(`${jobPage(started).replace('running', 'completed')}/overview`);
  await picture('ended');

  console.log(`pages ${pages.length} clicks ${clicks}`);
  await browser.close();
}

main().catch(e => { console.log(`failed: ${e}`); process.exit(1); });
