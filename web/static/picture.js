// Draws the newest picture, never an older one after it, and never queues.
//
// One picture is decoded at a time. What arrives meanwhile waits in a single place, where a newer one
// replaces it, so a device that decodes slowly sees fewer pictures, not old ones.

// Handing the bitmap over is cheapest in Chromium and WebKit; Firefox is faster with drawImage().
const DRAWS_2D = CSS.supports("-moz-appearance", "none");
const RATE_WINDOW = 3000; // ms over which the rate is measured

export class Picture {
  #canvas;
  #context;
  #onDraw;
  #waiting = null;
  #decoding = false;
  #epoch = 0; // counts drop(): what came before it is not drawn after it
  #drawnAt = []; // of the last few seconds, in performance.now() ms

  shown = null; // the picture on the screen: {fields, blob, width, height, at}

  // onDraw(shown) after every picture drawn.
  constructor(canvas, onDraw) {
    this.#canvas = canvas;
    this.#context = canvas.getContext(DRAWS_2D ? "2d" : "bitmaprenderer");
    this.#onDraw = onDraw;
  }

  offer(part) {
    this.#waiting = part;
    if (!this.#decoding) this.#drawWaiting();
  }

  // Drops what waits or is being decoded. The picture on the screen stays.
  drop() {
    this.#waiting = null;
    this.#epoch += 1;
    this.#drawnAt = [];
  }

  // Takes the picture off the screen as well: another camera's must not stand under a new name.
  clear() {
    this.drop();
    this.shown = null;
    if (DRAWS_2D) this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    else this.#context.transferFromImageBitmap(null);
  }

  // Pictures drawn per second, over the last few seconds; null until it can be told.
  get rate() {
    const now = performance.now();
    while (this.#drawnAt.length > 0 && now - this.#drawnAt[0] > RATE_WINDOW) this.#drawnAt.shift();
    if (this.#drawnAt.length < 2) return null;
    const spans = this.#drawnAt.length - 1;
    const span = this.#drawnAt[spans] - this.#drawnAt[0];
    // Once they stop coming the rate falls, instead of staying what it was.
    return (1000 * spans) / Math.max(span, now - this.#drawnAt[0] - (2 * span) / spans);
  }

  async #drawWaiting() {
    this.#decoding = true;
    while (this.#waiting !== null) {
      const { fields, pieces } = this.#waiting;
      this.#waiting = null;
      const epoch = this.#epoch;
      const blob = new Blob(pieces, { type: "image/jpeg" });
      let bitmap;
      try {
        bitmap = await createImageBitmap(blob);
      } catch {
        continue; // not decodable: the next one will be; the page says so if none comes
      }
      if (epoch === this.#epoch) this.#draw(bitmap, fields, blob);
      bitmap.close();
    }
    this.#decoding = false;
  }

  #draw(bitmap, fields, blob) {
    const { width, height } = bitmap;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    if (DRAWS_2D) this.#context.drawImage(bitmap, 0, 0);
    else this.#context.transferFromImageBitmap(bitmap);
    const at = performance.now();
    this.#drawnAt.push(at);
    this.shown = { fields, blob, width, height, at };
    this.#onDraw(this.shown);
  }
}
