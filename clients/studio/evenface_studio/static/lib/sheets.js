// Faces come as one picture for many; here it is cut.

import { h } from "./dom.js";

/** Cuts a sheet into canvases, one a face, row by row. */
export async function cut(blob, columns, rows = 1) {
  const sheet = await createImageBitmap(blob);
  const [width, height] = [sheet.width / columns, sheet.height / rows];
  const tiles = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const tile = blank(width, height);
      const from = [column * width, row * height, width, height];
      tile.getContext("2d").drawImage(sheet, ...from, 0, 0, width, height);
      tiles.push(tile);
    }
  }
  sheet.close();
  return tiles;
}

/** An empty canvas, which nobody needs to hear of: what holds it has a name. */
export const blank = (width, height) => h("canvas", { width, height, "aria-hidden": "true" });

/** Puts a picture in the place of what a canvas shows. */
export function paint(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** A canvas as a PNG file. */
export const toFile = (canvas, name) =>
  new Promise((done) => {
    canvas.toBlob((blob) => done(new File([blob], name, { type: "image/png" })), "image/png");
  });

/** Lets the browser keep a blob as a file. */
export function keep(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
