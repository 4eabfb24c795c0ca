// node examples/score-folder.mjs FOLDER OUT.csv [SERVER]: how likely each image of a folder shows a face.
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "evenface";

const [folder, out, server] = process.argv.slice(2);
if (!folder || !out) throw new Error("usage: score-folder.mjs FOLDER OUT.csv [SERVER]");

/** Names are read as they are needed: the folder may hold millions. */
async function* images() {
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (/\.(jpe?g|png|webp)$/i.test(entry.name)) yield join(entry.parentPath, entry.name);
  }
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
const client = new Client(server);
const csv = createWriteStream(out);
csv.write("file,probability,error\n");
let count = 0;
try {
  for await (const { source, value, error } of client.classifyStream(images())) {
    const row = [quoted(source), value?.probability ?? "", error ? quoted(error.problem) : ""];
    if (!csv.write(`${row.join(",")}\n`)) await once(csv, "drain");
    count += 1;
    if (count % 1000 === 0) console.error(`${count} images`);
  }
} finally {
  client.close();
  csv.end();
}
console.error(`${count} images scored, see ${out}`);
