// Writes patterns.txt: isbot's patterns, one a line, without those that need look-around, which linear-time
// regular expressions do not have (crawlers.txt says the same in other words).
//
//     npm install --prefix /tmp/bots isbot@5.2.3 && node data/bots/make.mjs /tmp/bots
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const from = process.argv[2];
if (!from) {
  console.error("usage: make.mjs DIR (where isbot is installed)");
  process.exit(2);
}
const require = createRequire(join(from, "package.json"));
const { list } = require("isbot");
const { version } = require(join(from, "node_modules/isbot/package.json"));

const kept = list.filter((pattern) => !/\(\?<?[!=]/.test(pattern));
const head = [
  `# Made by make.mjs from isbot ${version} (npm, the Unlicense): ${kept.length} of ${list.length} patterns.`,
  "# Case is ignored; one match is enough. Not edited by hand.",
];
// [\w-.] is a range to this engine; a hyphen in front is a hyphen everywhere. A leading blank stays visible.
const plain = kept.map((pattern) => pattern.replaceAll("[\\w\\d-.]", "[-\\w\\d.]").replace(/^ | $/g, "[ ]"));
writeFileSync(new URL("patterns.txt", import.meta.url), [...head, ...plain, ""].join("\n"));
