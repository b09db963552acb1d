// SPDX-License-Identifier: Apache-2.0
// The stage: layers for the radiograph, the contours and the tools, by Konva.

import { Contours } from "./contours.js";
import { Findings } from "./findings.js";
import { LabelMap } from "./labelmap.js";

const Konva = window.Konva;
const [LEAST, MOST] = [0.05, 40];
const LINE_ON_SCREEN = 2;

export class Viewer {
  // `changed` is called after every change of the labels.
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.stage = new Konva.Stage({ container: element, width: 1, height: 1 });
    this.pictureLayer = new Konva.Layer({ listening: false });
    this.contourLayer = new Konva.Layer({ listening: false });
    this.toolLayer = new Konva.Layer({ listening: false });
    this.findingLayer = new Konva.Layer({ listening: false });
    this.stage.add(this.pictureLayer, this.findingLayer, this.contourLayer, this.toolLayer);
    this.findings = new Findings(this.findingLayer);
    this.pictureLayer.getNativeCanvasElement().style.filter = "url(#window)";
    this.labels = null;
    new ResizeObserver(() => this.resize()).observe(element);
    this.stage.on("wheel", ({ evt }) => {
      evt.preventDefault();
      this.zoom(Math.exp(-evt.deltaY / 500), this.stage.getPointerPosition());
    });
  }

  show(bitmap) {
    this.labels = new LabelMap(bitmap.width, bitmap.height);
    this.contours = new Contours(this.labels);
    this.pictureLayer.destroyChildren();
    this.contourLayer.destroyChildren();
    this.toolLayer.destroyChildren();
    this.findings.clear();
    this.pictureLayer.add(new Konva.Image({ image: bitmap }));
    this.contourLayer.add(new Konva.Image({ image: this.contours.canvas }));
    this.fit();
  }

  resize() {
    this.stage.size({ width: this.element.clientWidth, height: this.element.clientHeight });
    if (this.labels) this.fit();
  }

  fit() {
    const { width, height } = this.labels;
    const scale = 0.96 * Math.min(this.stage.width() / width, this.stage.height() / height);
    this.place(scale, (this.stage.width() - scale * width) / 2, (this.stage.height() - scale * height) / 2);
  }

  // Zooms by a factor around a point of the stage.
  zoom(factor, at = { x: this.stage.width() / 2, y: this.stage.height() / 2 }) {
    if (!this.labels) return;
    const old = this.stage.scaleX();
    const scale = Math.min(MOST, Math.max(LEAST, old * factor));
    const [x, y] = [this.stage.x(), this.stage.y()];
    this.place(scale, at.x - ((at.x - x) / old) * scale, at.y - ((at.y - y) / old) * scale);
  }

  move(dx, dy) {
    this.place(this.stage.scaleX(), this.stage.x() + dx, this.stage.y() + dy);
  }

  place(scale, x, y) {
    this.stage.scale({ x: scale, y: scale });
    this.stage.position({ x, y });
    for (const layer of [this.pictureLayer, this.findingLayer, this.contourLayer]) layer.imageSmoothingEnabled(scale < 2);
    Object.assign(this.element.dataset, { scale, x, y });
    const thickness = Math.max(1, Math.round(LINE_ON_SCREEN / scale));
    if (thickness !== this.contours.thickness || !this.drawn) {
      this.contours.thickness = thickness;
      this.drawn = true;
      this.contours.draw();
      this.findings.draw(thickness);
    }
    this.stage.batchDraw();
  }

  // Redraws a rectangle of the labels that has changed.
  redraw(rect) {
    if (!rect) return;
    this.contours.draw(rect);
    this.contourLayer.batchDraw();
    this.changed();
  }

  // Shows the heart (3 in `values`) and the lines of its ratio.
  showFindings(values, lines) {
    this.findings.show(new LabelMap(this.labels.width, this.labels.height, values), lines, this.contours.thickness);
  }

  // Shows other values in the place of the labels; null shows the labels again.
  preview(values) {
    const { width, height } = this.labels;
    this.contours.labels = values ? { width, height, values } : this.labels;
    this.contours.draw();
    this.contourLayer.batchDraw();
  }

  showContours(visible) {
    this.contourLayer.visible(visible);
    this.findingLayer.visible(visible);
  }

  setWindow(black, white) {
    const range = Math.max(1, white - black);
    for (const part of document.querySelectorAll("#window feComponentTransfer > *")) {
      part.setAttribute("slope", 255 / range);
      part.setAttribute("intercept", -black / range);
    }
  }

  // The pointer's position in pixels of the radiograph, or null outside the stage.
  pointer() {
    return this.labels ? this.stage.getRelativePointerPosition() : null;
  }
}
