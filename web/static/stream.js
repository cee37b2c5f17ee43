// One camera's stream, kept open: connects, reads, notices when it has died, and tries again.
//
// Read with fetch(), because no engine tells a page that an <img> stream has ended, and WebKit cannot
// close one. The server sends at least one part a second whatever the camera does, so silence means
// that the way to the server is gone, also when nobody said so (a laptop that slept, a pulled cable).

import { Framing } from "./framing.js";

const SILENCE = 3000; // ms without a byte after which a stream is dead
const PATIENCE = 8000; // ms to wait for the answer's first byte
const FIRST_WAIT = 500; // ms before the first new attempt; doubles
const LAST_WAIT = 5000; // ms, the longest wait
const LONGEST_RETRY_AFTER = 30; // seconds; a server may ask for more, a person in front of it will not wait

// Refused with a reason a person should read: `full` (503), or `refused`.
class Refusal extends Error {
  constructor(phase, message, retryAfter) {
    super(message);
    this.phase = phase;
    this.retryAfter = retryAfter;
  }
}

export class Stream {
  #url;
  #onPart;
  #onPhase;
  #stop = null; // AbortController of the open stream; null when closed
  #wake = () => {}; // ends the wait before the next attempt

  // onPart({fields, pieces}) for every part; onPhase(phase, message) when the phase changes:
  // connecting, open, away, full, refused or closed.
  constructor(url, onPart, onPhase) {
    this.#url = url;
    this.#onPart = onPart;
    this.#onPhase = onPhase;
  }

  open() {
    if (this.#stop !== null) return;
    this.#stop = new AbortController();
    this.#onPhase("connecting", "");
    this.#keepOpen(this.#stop.signal);
  }

  close() {
    if (this.#stop === null) return;
    this.#stop.abort();
    this.#stop = null;
    this.#wake();
    this.#onPhase("closed", "");
  }

  // Tries again now if it was waiting to.
  hurry() {
    this.#wake();
  }

  async #keepOpen(stop) {
    let wait = FIRST_WAIT;
    while (!stop.aborted) {
      let phase = "away";
      let message = "";
      let pause = wait;
      try {
        await this.#read(stop, () => {
          wait = FIRST_WAIT;
          pause = FIRST_WAIT;
          this.#onPhase("open", "");
        });
      } catch (error) {
        // Whatever went wrong, refused, cut, silent or garbled, the remedy is a new attempt.
        if (error instanceof Refusal) {
          ({ phase, message } = error);
          pause = Math.max(pause, error.retryAfter * 1000);
        } else if (!(error instanceof DOMException || error instanceof TypeError)) {
          console.warn("stream:", error.message);
        }
      }
      if (stop.aborted) return;
      this.#onPhase(phase, message);
      await new Promise((resolve) => {
        this.#wake = resolve;
        // A little chance, so that many screens do not return to a restarted server in step.
        setTimeout(resolve, pause * (0.9 + 0.2 * Math.random()));
      });
      wait = Math.min(wait * 2, LAST_WAIT);
    }
  }

  // Reads one connection to its end.
  async #read(stop, onFirstPart) {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    stop.addEventListener("abort", abort);
    // The wall clock, because it goes on while a machine sleeps.
    let heard = Date.now();
    let limit = PATIENCE;
    const watch = setInterval(() => Date.now() - heard > limit && abort(), 500);
    try {
      const response = await fetch(this.#url, {
        headers: { Accept: "application/octet-stream" },
        cache: "no-store",
        signal: attempt.signal,
      });
      if (!response.ok) throw await refusal(response);
      heard = Date.now();
      limit = SILENCE;
      const framing = new Framing();
      const reader = response.body.getReader();
      let first = true;
      for (;;) {
        const { done, value } = await reader.read();
        if (done || stop.aborted) return;
        heard = Date.now();
        for (const part of framing.feed(value)) {
          if (first) onFirstPart();
          first = false;
          this.#onPart(part);
        }
      }
    } finally {
      clearInterval(watch);
      stop.removeEventListener("abort", abort);
      abort(); // an answer that was not read to its end would hold its connection
    }
  }
}

async function refusal(response) {
  const retryAfter = Math.min(Number(response.headers.get("Retry-After")) || 0, LONGEST_RETRY_AFTER);
  const isOurs = (response.headers.get("Content-Type") || "").startsWith("application/json");
  // A proxy whose server is down answers too, but in its own words.
  if (!isOurs && response.status >= 500) return new Refusal("away", "", retryAfter);
  let message = "";
  try {
    message = isOurs ? String((await response.json()).error || "") : "";
  } catch {
    // Cut off while saying why: the status alone has to do.
  }
  if (response.status === 503) return new Refusal("full", message, retryAfter);
  return new Refusal("refused", message || `The server answered ${response.status}.`, retryAfter);
}
