// Reads hostile texts on the live page of a job in headless Chromium, and prints what happened as one JSON
// object.
//
// usage: node serve_hostile.mjs TOOLS CHROMIUM ADDRESS TEXTS [FOLDER]
// TEXTS is a JSON list of texts, which are also the keys of their rows; screenshots go into FOLDER.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./support/browser.mjs";

const [tools, executablePath, address, file, folder] = process.argv.slice(2);
const texts = JSON.parse(fs.readFileSync(file));
const paths = ["/", "/events", "/live.js", "/style.css", "/search", "/row", "/picture", "/report"];
const isOwn = (url) => url.startsWith(`${address}/`) && paths.includes(new URL(url).pathname);
const { browser, found, open, check } = await launch(tools, executablePath, isOwn);
Object.assign(found, { shown: [], none: [], elements: [] });

// Elements that only a text could have brought.
const foreign = (page) => page.evaluate(() => {
  const place = ({ src }) => src && new URL(src).pathname;
  const scripts = [...document.scripts].filter((element) => place(element) !== "/live.js");
  const images = [...document.images].filter((element) => place(element) !== "/picture");
  const acting = [...document.querySelectorAll("svg, iframe, object, embed, style, [onerror], [onload]")];
  const links = [...document.links].filter(({ href }) => !href.startsWith(location.origin + "/"));
  return [...scripts, ...images, ...acting, ...links].map((element) => element.outerHTML.slice(0, 200));
});

for (const width of [1280, 390]) {
  for (const javaScriptEnabled of [true, false]) {
    const name = `${width}, ${javaScriptEnabled ? "with" : "without"} scripts`;
    const page = await open(`${address}/`, { viewport: { width, height: 900 }, javaScriptEnabled }, name);
    const look = async (place) => {
      found.elements.push(...await foreign(page));
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) found.overflow.push(`${name}, ${place}: ${overflow} px`);
      if (javaScriptEnabled) await check(page, `${name}, ${place}`);
      if (folder && javaScriptEnabled) {
        await page.screenshot({ path: path.join(folder, `hostile-${width}-${place}.png`), fullPage: true });
      }
    };
    await page.locator("article").first().waitFor();
    await look("live");
    await page.selectOption("[name=kind]", "regex");
    await page.fill("[name=q]", "(?s).");
    await page.click('button:text-is("Search")');
    await look("search");
    found.shown.push(await page.locator("main").textContent());
    // A row without a picture says why.
    const sources = await page.locator("img").evaluateAll((all) => all.map((image) => image.src));
    for (const source of sources) {
      const answer = await page.request.get(source);
      if (answer.status() !== 200) found.none.push([answer.status(), answer.headers()["content-type"], await answer.text()]);
    }
    for (const text of texts.filter((text) => text.length < 2000 && !text.includes("\0"))) {
      await page.goto(`${address}/`);
      await page.fill("[name=q]", text);
      await page.click('button:text-is("Search")');
      found.elements.push(...await foreign(page));
      await page.goto(`${address}/row?key=${encodeURIComponent(text)}`);
      found.elements.push(...await foreign(page));
    }
    await page.goto(`${address}/row?key=${encodeURIComponent(texts[1])}`);
    await look("row");
    await page.context().close();
  }
}
// A picture that is not there, and a text that no row has, are errors on the console of the browser.
found.errors = found.errors.filter((error) => !/status of 404 .*\/(picture|row)\?/.test(error));
await browser.close();
console.log(JSON.stringify(found));
