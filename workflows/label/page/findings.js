// SPDX-License-Identifier: Apache-2.0
// What the model found beside the lungs, to look at and not to draw on: the heart, and the lines of its ratio.

import { Contours } from "./contours.js";

const Konva = window.Konva;
const HEART = 3;
const COLOURS = ["rgb(204 121 167)", "rgb(255 255 255)"];

export class Findings {
  constructor(layer) {
    this.layer = layer;
    this.clear();
  }

  clear() {
    this.contours = null;
    this.layer.destroyChildren();
  }

  // Shows the heart of a label map, and lines [[x, y], [x, y]] in pixels, that of the heart first.
  show(labels, lines, thickness) {
    this.clear();
    labels.values = labels.values.map((value) => (value === HEART ? HEART : 0));
    this.contours = new Contours(labels);
    this.layer.add(new Konva.Image({ image: this.contours.canvas }));
    lines.forEach((line, index) => {
      const [stroke, dash] = [COLOURS[index] ?? COLOURS[1], [6, 4]];
      this.layer.add(new Konva.Line({ points: line.flat(), stroke, dash, strokeWidth: 2, strokeScaleEnabled: false }));
    });
    this.draw(thickness);
    this.layer.batchDraw();
  }

  draw(thickness) {
    if (!this.contours) return;
    this.contours.thickness = thickness;
    this.contours.draw();
  }
}

// Returns the values without the heart.
export function lungsOnly(values) {
  return values.map((value) => (value === HEART ? 0 : value));
}

// Returns the cardiothoracic ratio in words; "" if none was measured.
export function ratioText({ measurements = {}, ctr_note: note = "" }) {
  const { ctr, ctr_low: low, ctr_high: high } = measurements;
  if (ctr === undefined) return note && `Cardiothoracic ratio ${note}`;
  const remark = note && `, ${note}`;
  return `Cardiothoracic ratio ${ctr.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)}${remark})`;
}
