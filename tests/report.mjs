// Opens a report's page in headless Chromium, and prints what happened as one JSON object.
//
// usage: node report.mjs TOOLS CHROMIUM PAGE [FOLDER]     TOOLS has node_modules; screenshots go into FOLDER
import { pathToFileURL } from "node:url";
import path from "node:path";
import { launch } from "./support/browser.mjs";

const [tools, executablePath, file, folder] = process.argv.slice(2);
const address = pathToFileURL(path.resolve(file)).href;
const { browser, found, open, check } = await launch(tools, executablePath, (url) => url === address);

async function use(page) {
  const panel = page.locator(".source").first();
  const out = (name) => panel.locator(`[data-out="${name}"]`).textContent();
  // A page without truths has no rates.
  const rate = async (name) => (await panel.locator(`[data-out="${name}"]`).count()) ? out(name) : null;
  const slider = panel.locator("input[type=range]");
  const positions = await page.evaluate(
    () => JSON.parse(document.getElementById("data").textContent).sources[0].positions,
  );
  const moved = [];
  for (const position of [0, 0.13, 0.5, 0.62, 0.9, 0.99, 1]) {
    const at = positions.indexOf(position);
    await slider.evaluate((input, value) => {
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }, at);
    const [kept, accepts] = [await out("kept"), await out("false")];
    const [share, control] = [await out("share"), await out("control")];
    const [precision, recall] = [await rate("precision"), await rate("recall")];
    const recut = await panel.locator(".recut-threshold").textContent();
    const near = panel.locator(".nearest .picture");
    moved.push({
      position, kept, accepts, share, control, precision, recall, recut, nearest: await near.count(),
    });
  }
  // With the keyboard, as a person who does not use a mouse.
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  const byKey = await out("threshold");
  await panel.locator(".reset").click();
  const bar = await panel.locator(".bars tbody tr").evaluateAll((rows) => {
    const counts = rows.map((row) => Number(row.cells[1].textContent.replaceAll(",", "")));
    return counts.indexOf(Math.max(...counts));
  });
  await panel.locator(".chart a").nth(bar).click();
  const chosen = panel.locator(".chosen-bar");
  const codes = await chosen.locator("code").allTextContents();
  const shown = await chosen.locator(".picture").count();
  await chosen.locator(".picture a").first().click();
  const dialog = page.locator("dialog[open]");
  const card = await dialog.locator(".card").count();
  await page.keyboard.press("Escape");
  return { moved, byKey, bar, codes, shown, card, closed: (await page.locator("dialog[open]").count()) === 0 };
}

for (const width of [1280, 390]) {
  for (const colorScheme of ["light", "dark"]) {
    const name = `${width}-${colorScheme}`;
    const page = await open(address, { viewport: { width, height: 900 }, colorScheme }, name);
    if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
    await check(page, name);
    found.used = await use(page);
    if (folder) {
      await page.locator(".source").first().screenshot({ path: path.join(folder, `${name}-source.png`) });
      await page.locator(".picture a").first().click();
      await page.screenshot({ path: path.join(folder, `${name}-row.png`) });
      await page.keyboard.press("Escape");
    }
    await page.locator("details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
    await check(page, `${name}, opened`);
    await page.context().close();
  }
}

// A link to a row opens the list of rows.
const id = await (async () => {
  const page = await open(address, {}, "link");
  const card = await page.locator(".card").first().getAttribute("id");
  await page.goto("about:blank");
  await page.goto(address + "#" + card);
  found.linked = await page.locator("#" + card).isVisible();
  await page.context().close();
  return card;
})();
found.fetched = found.fetched.filter((url) => url !== "about:blank" && url !== address + "#" + id);

// Without scripts, the numbers and the pictures are there.
const plain = await open(address, { javaScriptEnabled: false }, "without scripts");
found.plain = {
  kept: await plain.locator('[data-out="kept"]').first().textContent(),
  pictures: await plain.locator(".picture").count(),
  positions: await plain.locator(".source").first().locator("details").first().locator("tbody tr").count(),
  slider: await plain.locator(".slider").first().isVisible(),
};
await browser.close();
console.log(JSON.stringify(found));
