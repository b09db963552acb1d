// SPDX-License-Identifier: Apache-2.0
// A label map over the radiograph: a line inside the border of each lung or the heart, and a faint fill.

const COLOURS = [null, [86, 180, 233], [230, 159, 0], [204, 121, 167]];
const FILL = 36;
const LINE = 255;

export class Contours {
  constructor(labels) {
    this.labels = labels;
    this.canvas = document.createElement("canvas");
    this.canvas.width = labels.width;
    this.canvas.height = labels.height;
    this.context = this.canvas.getContext("2d");
    this.thickness = 1;
  }

  // Redraws a rectangle, or everything.
  draw(rect = { left: 0, top: 0, right: this.labels.width - 1, bottom: this.labels.height - 1 }) {
    const { width, height, values } = this.labels;
    const reach = this.thickness;
    const left = Math.max(0, rect.left - reach);
    const top = Math.max(0, rect.top - reach);
    const right = Math.min(width - 1, rect.right + reach);
    const bottom = Math.min(height - 1, rect.bottom + reach);
    const part = this.context.createImageData(right - left + 1, bottom - top + 1);
    let at = 0;
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1, at += 4) {
        const label = values[y * width + x];
        if (!label) continue;
        part.data.set(COLOURS[label], at);
        part.data[at + 3] = this.isBorder(x, y, label) ? LINE : FILL;
      }
    }
    this.context.putImageData(part, left, top);
  }

  isBorder(x, y, label) {
    const { width, height, values } = this.labels;
    const here = y * width + x;
    for (let far = 1; far <= this.thickness; far += 1) {
      if (x < far || values[here - far] !== label || x + far >= width || values[here + far] !== label) return true;
      if (y < far || values[here - far * width] !== label) return true;
      if (y + far >= height || values[here + far * width] !== label) return true;
    }
    return false;
  }
}
