// SPDX-License-Identifier: Apache-2.0
// The tools of the pointer on the stage: brush, eraser, polygon, move.

const Konva = window.Konva;
const MIDDLE = 1;

export class Tools {
  constructor(viewer) {
    this.viewer = viewer;
    this.tool = "brush";
    this.label = 1;
    this.radius = 14;
    this.drag = null;
    this.corners = [];
    this.held = false;
    const { stage } = viewer;
    stage.on("pointerdown", ({ evt }) => this.down(evt));
    // Konva treats two quick clicks at different places as a double click.
    viewer.element.addEventListener("dblclick", (event) => this.tool === "polygon" && this.close(event.altKey));
    // On the whole window, because a stroke can leave the stage.
    window.addEventListener("pointermove", (event) => this.moved(event));
    window.addEventListener("pointerup", () => this.up());
    stage.on("pointerleave", () => this.drag || this.showCursor(null));
  }

  choose(tool) {
    this.tool = tool;
    this.showCursor(null);
    this.viewer.element.dataset.tool = tool;
  }

  // While the space key is held, every tool moves the picture.
  hold(held) {
    this.held = held;
    this.viewer.element.dataset.tool = held ? "pan" : this.tool;
  }

  down(event) {
    const at = this.viewer.pointer();
    if (!at) return;
    this.viewer.element.focus();
    if (this.tool === "pan" || this.held || event.button === MIDDLE) {
      event.preventDefault();
      this.drag = { kind: "pan", x: event.clientX, y: event.clientY };
    } else if (document.body.dataset.busy) {
      return;
    } else if (event.button === 0 && this.tool === "polygon") {
      this.corners.push([at.x, at.y]);
      this.showPolygon(at);
      this.viewer.changed();
    } else if (event.button === 0) {
      this.viewer.labels.begin();
      this.drag = { kind: "paint", x: at.x, y: at.y };
      this.paint(at);
    }
  }

  moved(event) {
    if (!this.viewer.labels) return;
    this.viewer.stage.setPointersPositions(event);
    const at = this.viewer.pointer();
    if (this.drag?.kind === "pan") {
      this.viewer.move(event.clientX - this.drag.x, event.clientY - this.drag.y);
      Object.assign(this.drag, { x: event.clientX, y: event.clientY });
    } else if (this.drag) {
      this.paint(at);
    }
    const inside = this.viewer.element.contains(event.target);
    this.showCursor(inside || this.drag ? at : null);
    if (this.corners.length) this.showPolygon(at);
  }

  up() {
    if (this.drag?.kind === "paint") this.viewer.redraw(this.viewer.labels.end());
    this.drag = null;
  }

  paint(at) {
    const label = this.tool === "eraser" ? 0 : this.label;
    const { labels, contours, contourLayer } = this.viewer;
    const rect = labels.line(this.drag.x, this.drag.y, at.x, at.y, this.radius, label);
    Object.assign(this.drag, { x: at.x, y: at.y });
    if (rect) {
      contours.draw(rect);
      contourLayer.batchDraw();
    }
  }

  // The corners of the polygon that was begun; a double click adds two at one place.
  get polygon() {
    return this.corners.filter(([x, y], index, all) => !index || x !== all[index - 1][0] || y !== all[index - 1][1]);
  }

  // Fills the polygon, or erases inside it.
  close(erase = false) {
    if (document.body.dataset.busy) return;
    const corners = this.polygon;
    this.abandon();
    if (corners.length < 3) return;
    this.viewer.labels.begin();
    this.viewer.labels.polygon(corners, erase ? 0 : this.label);
    this.viewer.redraw(this.viewer.labels.end());
  }

  // Takes the last corner away.
  stepBack() {
    this.corners = this.polygon.slice(0, -1);
    this.showPolygon();
    this.viewer.changed();
  }

  abandon() {
    this.corners = [];
    this.showPolygon();
    this.viewer.changed();
  }

  colour() {
    return this.tool === "eraser" ? "white" : ["", "rgb(86 180 233)", "rgb(230 159 0)"][this.label];
  }

  showCursor(at) {
    const layer = this.viewer.toolLayer;
    let cursor = layer.findOne(".cursor");
    const paints = (this.tool === "brush" || this.tool === "eraser") && !this.held;
    if (!at || !paints) {
      cursor?.hide();
      return;
    }
    if (!cursor) {
      cursor = new Konva.Circle({ name: "cursor", strokeWidth: 1.5, strokeScaleEnabled: false });
      layer.add(cursor);
    }
    cursor.setAttrs({ x: at.x, y: at.y, radius: this.radius, stroke: this.colour(), visible: true });
  }

  showPolygon(at) {
    const layer = this.viewer.toolLayer;
    let line = layer.findOne(".polygon");
    if (!this.corners.length) {
      line?.destroy();
      return;
    }
    if (!line) {
      line = new Konva.Line({ name: "polygon", strokeWidth: 1.5, strokeScaleEnabled: false, closed: true });
      layer.add(line);
    }
    line.setAttrs({ points: [...this.corners, ...(at ? [[at.x, at.y]] : [])].flat(), stroke: this.colour() });
  }
}
