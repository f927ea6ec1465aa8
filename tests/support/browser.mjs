// A headless Chromium that notes what no page may do.
import { createRequire } from "node:module";
import path from "node:path";

// `tools` has node_modules; `isAllowed` says which addresses a page may request.
export async function launch(tools, executablePath, isAllowed) {
  const require = createRequire(path.join(path.resolve(tools), "package.json"));
  const axe = require("axe-core");
  const browser = await require("playwright-core").chromium.launch({
    executablePath, args: ["--no-sandbox", "--disable-gpu"],
  });
  const found = { ran: [], fetched: [], errors: [], axe: [], overflow: [] };

  async function open(address, options, name) {
    const page = await (await browser.newContext(options)).newPage();
    page.setDefaultTimeout(60_000);
    page.on("dialog", (dialog) => { found.ran.push(dialog.message()); dialog.dismiss(); });
    page.on("pageerror", (error) => found.errors.push(`${name}: ${error.message}`));
    page.on("console", (line) => {
      const { url } = line.location();
      if (line.type() === "error") found.errors.push(`${name}: ${line.text()} (${url})`);
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith("data:") && !isAllowed(url)) found.fetched.push(url);
    });
    await page.goto(address);
    return page;
  }

  // Notes faults of accessibility, and content that is wider than the window.
  async function check(page, name) {
    await page.evaluate(`${axe.source};0`);
    const results = await page.evaluate(async () => {
      const { violations } = await window.axe.run({ resultTypes: ["violations"] });
      return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.length, first: nodes[0].html }));
    });
    const serious = results.filter(({ impact }) => ["serious", "critical"].includes(impact));
    found.axe.push(...serious.map((one) => ({ name, ...one })));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) found.overflow.push(`${name}: ${overflow} px`);
  }

  return { browser, found, open, check };
}
