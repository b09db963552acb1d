// SPDX-License-Identifier: Apache-2.0
// Keeps the open study reserved while the page is in use, so that Next does not offer it to others.

const PAUSE = 60_000;
const SIGNS = ["pointerdown", "pointermove", "wheel", "keydown"];

export class Reservation {
  // `take` reserves a study on the server, or renews its reservation. `clock` returns milliseconds.
  constructor(take, clock = () => performance.now()) {
    this.take = take;
    this.clock = clock;
    this.study = null;
    this.used = false;
    for (const sign of SIGNS) window.addEventListener(sign, () => (this.used = true), { passive: true });
  }

  // Reserves another study in place of the present one.
  async hold(study) {
    this.study = study;
    await this.renew();
  }

  // Renews the reservation now and then, if the page was used since.
  async tend() {
    if (this.study && this.used && this.clock() - this.renewed >= PAUSE) await this.renew();
  }

  async renew() {
    this.renewed = this.clock();
    this.used = false;
    await this.take(this.study);
  }
}
