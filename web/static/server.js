// What the server says about itself: asks for /state every two seconds, and compares the clocks.

const INTERVAL = 2000; // ms
const PATIENCE = 4000; // ms
const SAMPLES = 20; // of the clocks; the one with the shortest round trip is believed
const STEP = 250; // ms beyond what the round trips explain: a clock was set

export class Server {
  #url;
  #onAnswer;
  #timer = 0;
  #asking = null; // AbortController
  #samples = []; // {offset, roundTrip} in ms

  answer = null; // the last /state
  reachable = true;

  // onAnswer() after every answer, and after every request that got none.
  constructor(url, onAnswer) {
    this.#url = url;
    this.#onAnswer = onAnswer;
  }

  start() {
    if (this.#timer !== 0) return;
    this.#timer = setInterval(() => this.ask(), INTERVAL);
    this.ask();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#asking?.abort();
    this.#samples = []; // performance.now() may have stood still when the page comes back
  }

  // The server's wall clock, in seconds since the epoch; null while it is not known.
  get now() {
    if (this.#samples.length === 0) return null;
    const best = this.#samples.reduce((a, b) => (b.roundTrip < a.roundTrip ? b : a));
    return (performance.now() + best.offset) / 1000;
  }

  async ask() {
    if (this.#asking !== null) return;
    const asking = (this.#asking = new AbortController());
    const timer = setTimeout(() => asking.abort(), PATIENCE);
    try {
      const asked = performance.now();
      const response = await fetch(this.#url, { cache: "no-store", signal: asking.signal });
      const answered = performance.now(); // the headers are there: `now` was read just before
      if (!response.ok) throw new TypeError(`/state answered ${response.status}`);
      this.answer = await response.json();
      this.reachable = true;
      this.#compareClocks(asked, answered, this.answer.now * 1000);
    } catch {
      this.reachable = this.#timer === 0; // stop() is no sign of the server's
    } finally {
      clearTimeout(timer);
      this.#asking = null;
    }
    if (this.#timer !== 0) this.#onAnswer();
  }

  #compareClocks(asked, answered, server) {
    const sample = { offset: server - (asked + answered) / 2, roundTrip: answered - asked };
    const stepped = (old) => Math.abs(old.offset - sample.offset) > (old.roundTrip + sample.roundTrip) / 2 + STEP;
    if (this.#samples.some(stepped)) this.#samples = [];
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }
}
