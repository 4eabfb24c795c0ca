// node examples/faces.mjs FOLDER [SERVER]: draws four faces that do not exist, and each with an attribute added.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, EvenfaceClientError } from "evenface";

const [folder = "faces-output", server] = process.argv.slice(2);
const client = new Client(server);
try {
  await client.waitReady();
  const { info } = await client.getModel();
  const drawn = await client.sample(4, { seed: 7n, temperature: 0.8, format: "png" });
  const files = drawn.images.map((png, i) => [`${i}.png`, png]);
  for (const name of info.attributes) {
    const source = { latents: drawn.latents };
    const edited = await client.edit(source, { attributes: { [name]: 1 }, format: "png" });
    files.push(...edited.steps[0].map((png, i) => [`${i}-${name}.png`, png]));
  }
  await mkdir(folder, { recursive: true });
  await Promise.all(files.map(([name, png]) => writeFile(join(folder, name), png)));
  console.log(`${files.length} pictures in ${folder}`);
} catch (error) {
  if (!(error instanceof EvenfaceClientError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
