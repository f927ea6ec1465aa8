// Watches and controls a running job by its live page in headless Chromium, and prints what happened as one
// JSON object. The job is left as it is.
//
// usage: node serve_browser.mjs TOOLS CHROMIUM ADDRESS COMMITS [FOLDER]
// PAGE_TOKEN is the token of the page; COMMITS is the folder of the job's commits; screenshots go into FOLDER.
import { createServer } from "node:http";
import fs from "node:fs";
import path from "node:path";
import { launch } from "./support/browser.mjs";

const [tools, executablePath, address, commits, folder] = process.argv.slice(2);
const token = process.env.PAGE_TOKEN;
const { browser, found, open, check } = await launch(tools, executablePath, (url) => url.startsWith(address));
const shot = async (page, name) => {
  if (folder) await page.screenshot({ path: path.join(folder, `live-${name}.png`), fullPage: true });
};

// Times in milliseconds at which commits were written, in their order.
const written = () => fs.readdirSync(commits)
  .flatMap((shard) => fs.readdirSync(path.join(commits, shard)).map((name) => path.join(commits, shard, name)))
  .map((file) => fs.statSync(file).mtimeMs).sort((a, b) => a - b);

// Notes when the page shows another number of committed shards.
const observe = (page) => page.evaluate(() => {
  const progress = document.getElementById("progress");
  const committed = () => {
    const row = [...progress.querySelectorAll("tr")].find(({ cells }) => cells[0].textContent === "shards");
    return Number(row.cells[2].textContent);
  };
  window.seen = [[committed(), Date.now()]];
  new MutationObserver(() => {
    if (committed() > window.seen.at(-1)[0]) window.seen.push([committed(), Date.now()]);
  }).observe(progress, { childList: true, subtree: true, characterData: true });
});

// Milliseconds from each commit to its number on the page.
async function delays(page, changes) {
  const limit = Date.now() + 120_000;
  let seen = [];
  while (seen.length <= changes && Date.now() < limit) {
    await page.waitForTimeout(100);
    seen = await page.evaluate(() => window.seen);
  }
  const times = written().slice(0, seen.at(-1)[0]);
  return times.slice(seen[0][0]).map((time, at) => {
    const shown = seen.find(([committed]) => committed > seen[0][0] + at);
    return Math.round(shown[1] - time);
  });
}

// The four forms of the page, watched at once while the job runs.
const pages = {};
for (const width of [1280, 390]) {
  for (const colorScheme of ["light", "dark"]) {
    const name = `${width}-${colorScheme}`;
    pages[name] = await open(`${address}/`, { viewport: { width, height: 900 }, colorScheme }, name);
  }
}
const first = pages["1280-light"];
await observe(first);
found.delays = await delays(first, 4);
found.running = await first.locator("#state").textContent();
for (const [name, page] of Object.entries(pages)) await shot(page, `${name}-running`);
await check(first, "running");
// The buttons: without a token, with a wrong one, and with the right one. The job is paused while the pages are
// looked at, so that it does not end before.
await first.click("text=Pause");
found.empty = first.url();
found.posted = await first.evaluate(async () => {
  const answer = await fetch("/control", { method: "POST", body: new URLSearchParams({ action: "pause" }) });
  return answer.status;
});
await first.fill("[name=token]", "a-token-that-is-wrong");
await first.click("text=Pause");
found.wrong = await first.locator("main").textContent();
await first.goto(`${address}/`);
// Another watcher learns of a control by an event.
const control = async (button, word) => {
  await first.fill("[name=token]", token);
  await first.click(`button:text-is("${button}")`);
  found[button.toLowerCase()] = await first.locator("main .good").first().textContent();
  await pages["390-dark"].locator("#state", { hasText: word }).waitFor();
};
await control("Pause", "Paused");
for (const [name, page] of Object.entries(pages)) {
  await check(page, `${name}, paused`);
  await shot(page, `${name}-paused`);
}
// Pictures are fetched when they come near the window, and an event does not fetch the same ones again.
await first.locator("#texts").scrollIntoViewIfNeeded();
await first.waitForFunction(() => document.querySelector("#texts img").naturalWidth > 0);

// Without scripts.
const plain = await open(`${address}/`, { javaScriptEnabled: false }, "without scripts");
found.plain = {
  state: await plain.locator("#state").textContent(),
  rows: await plain.locator("#texts article").count(),
  connection: await plain.locator("#connection").textContent(),
};
await plain.fill("[name=q]", "a");
await plain.click('button:text-is("Search")');
found.plain.found = await plain.locator("article").count();

// Found rows, and everything about one.
for (const [name, page] of Object.entries(pages)) {
  const other = await page.context().newPage();
  await other.goto(`${address}/search?q=.&kind=regex`);
  await other.evaluate(() => document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; }));
  await other.waitForFunction(() => [...document.images].every((image) => image.naturalWidth > 0));
  await check(other, `${name}, search`);
  await shot(other, `${name}-search`);
  await other.locator("article a").first().click();
  await other.waitForFunction(() => document.images[0].naturalWidth > 0);
  await check(other, `${name}, row`);
  await shot(other, `${name}-row`);
  found.row = await other.locator("pre").textContent();
  await other.close();
}

await control("Resume", "running");
// A refused request is an error on the console of the browser.
found.errors = found.errors.filter((error) => !(error.includes("403") && error.includes("/control")));

// A page of another site that frames this one.
const other = createServer((_, answer) => {
  answer.setHeader("content-type", "text/html");
  answer.end(`<h1>another site</h1><iframe src="${address}/"></iframe>`);
});
await new Promise((ready) => other.listen(0, "127.0.0.1", ready));
const framing = await browser.newPage();
await framing.goto(`http://localhost:${other.address().port}/`);
const frame = framing.frames().find((one) => one !== framing.mainFrame());
found.framed = { url: frame.url(), text: await frame.locator("body").textContent() };
other.close();
await browser.close();
console.log(JSON.stringify(found));
