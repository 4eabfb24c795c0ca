// What is wrong with the imports of the page's modules, a line each. Node links them as a browser
// does, without running them: node --experimental-vm-modules modules.mjs FOLDER

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { SourceTextModule } from "node:vm";

const root = resolve(process.argv[2]);
const IMPORT = /^import \{([^}]*)\} from "[^"]+";$/gm;
const COMMENT = /\/\*[^]*?\*\/|\/\/ .*$/gm;
const problems = [];
const known = new Map();

function parsed(path) {
  if (!known.has(path)) {
    known.set(path, new SourceTextModule(readFileSync(path, "utf8"), { identifier: path }));
  }
  return known.get(path);
}

const names = readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".js"));
for (const name of names) {
  try {
    const path = join(root, name);
    if (parsed(path).status === "unlinked") await parsed(path).link(beside);
    unused(path);
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
}

function beside(wanted, { identifier }) {
  return parsed(join(dirname(identifier), wanted));
}

function unused(path) {
  const text = readFileSync(path, "utf8").replaceAll(COMMENT, "");
  const rest = text.replaceAll(IMPORT, "");
  for (const [, list] of text.matchAll(IMPORT)) {
    for (const name of list.split(",").map((one) => one.trim()).filter(Boolean)) {
      if (!new RegExp(`\\b${name}\\b`).test(rest)) problems.push(`${relative(root, path)}: ${name} is not used`);
    }
  }
}

console.log([`${names.length} modules`, ...new Set(problems)].join("\n"));
