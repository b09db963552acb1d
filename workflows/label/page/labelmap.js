// SPDX-License-Identifier: Apache-2.0
// A label map to draw on: 0 background, 1 right lung, 2 left lung. Every stroke can be undone.

const MOST_STEPS = 100;

export class LabelMap {
  constructor(width, height, values = new Uint8Array(width * height)) {
    this.width = width;
    this.height = height;
    this.values = values;
    this.forget();
  }

  // Makes the present state the one where undoing ends.
  forget() {
    this.steps = [];
    this.undone = [];
    this.before = null;
    this.dirty = null;
    this.strokes = 0;
    this.oldest = 0;
    this.saved = 0;
  }

  // The number of the last stroke that is not undone; numbers are never used twice.
  get state() {
    return this.steps.at(-1)?.number ?? this.oldest;
  }

  get changed() {
    return this.state !== this.saved;
  }

  markSaved(state) {
    this.saved = state;
  }

  begin() {
    this.before = this.values.slice();
    this.dirty = null;
  }

  // Ends a stroke; returns the rectangle that it changed, or null.
  end() {
    const rect = this.dirty;
    if (rect) {
      this.strokes += 1;
      const [old, now] = [cut(this.before, this.width, rect), cut(this.values, this.width, rect)];
      this.steps.push({ number: this.strokes, rect, old, now });
      if (this.steps.length > MOST_STEPS) this.oldest = this.steps.shift().number;
      this.undone = [];
    }
    this.before = this.dirty = null;
    return rect;
  }

  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.undone.push(step);
    paste(this.values, this.width, step.rect, step.old);
    return step.rect;
  }

  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.steps.push(step);
    paste(this.values, this.width, step.rect, step.now);
    return step.rect;
  }

  // Replaces all values, as one stroke.
  replace(values) {
    this.begin();
    this.values.set(values);
    this.touch(0, 0, this.width - 1, this.height - 1);
    return this.end();
  }

  // Paints a thick line with round ends, from one point to another, in pixels; returns the rectangle that it touched.
  line(x0, y0, x1, y1, radius, label) {
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
    const right = Math.min(this.width - 1, Math.ceil(Math.max(x0, x1) + radius));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
    const bottom = Math.min(this.height - 1, Math.ceil(Math.max(y0, y1) + radius));
    if (left > right || top > bottom) return null;
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy || 1;
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const [ex, ey] = [px - along * dx, py - along * dy];
        if (ex * ex + ey * ey <= radius * radius) this.values[y * this.width + x] = label;
      }
    }
    return this.touch(left, top, right, bottom);
  }

  // Fills a polygon of [x, y] corners; a pixel is inside if its centre is (even-odd rule).
  polygon(corners, label) {
    const ys = corners.map(([, y]) => y);
    const top = Math.max(0, Math.floor(Math.min(...ys)));
    const bottom = Math.min(this.height - 1, Math.ceil(Math.max(...ys)));
    if (top > bottom) return null;
    for (let y = top; y <= bottom; y += 1) {
      const crossings = [];
      corners.forEach(([ax, ay], index) => {
        const [bx, by] = corners[(index + 1) % corners.length];
        if (ay > y + 0.5 !== by > y + 0.5) crossings.push(ax + ((y + 0.5 - ay) / (by - ay)) * (bx - ax));
      });
      crossings.sort((a, b) => a - b);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        const from = Math.max(0, Math.ceil(crossings[pair] - 0.5));
        const to = Math.min(this.width - 1, Math.ceil(crossings[pair + 1] - 0.5) - 1);
        if (from <= to) this.values.fill(label, y * this.width + from, y * this.width + to + 1);
      }
    }
    return this.touch(0, top, this.width - 1, bottom);
  }

  touch(left, top, right, bottom) {
    const old = this.dirty ?? { left, top, right, bottom };
    this.dirty = {
      left: Math.min(old.left, left),
      top: Math.min(old.top, top),
      right: Math.max(old.right, right),
      bottom: Math.max(old.bottom, bottom),
    };
    return { left, top, right, bottom };
  }
}

function cut(values, width, { left, top, right, bottom }) {
  const size = right - left + 1;
  const part = new Uint8Array(size * (bottom - top + 1));
  for (let y = top; y <= bottom; y += 1) {
    part.set(values.subarray(y * width + left, y * width + right + 1), (y - top) * size);
  }
  return part;
}

function paste(values, width, { left, top, right, bottom }, part) {
  const size = right - left + 1;
  for (let y = top; y <= bottom; y += 1) {
    values.set(part.subarray((y - top) * size, (y - top + 1) * size), y * width + left);
  }
}
