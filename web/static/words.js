// What the page says: how states, ages and spans of time are put into words.

const STATES = {
  live: ["live", "Live"],
  opening: ["wait", "Opening"],
  stalled: ["bad", "Stalled"],
  lost: ["bad", "Lost"],
  off: ["wait", "Off"],
};

export const NOTHING = "–";

// What the status line and the cover over the picture say, from everything the page knows:
//   paused, phase and message (of the stream), state (of the part on the screen, or null),
//   camera (its entry in /state, or null), reachable (does /state answer), frozen (no picture though
//   the stream is open). Returns {mood, title, detail, cover: [title, text] or null}.
export function describe({ paused, phase, message, state, camera, reachable, frozen }) {
  if (paused) {
    return { mood: "rest", title: "Paused", detail: reachable ? "" : "The server is away", cover: null };
  }
  switch (phase) {
    case "away":
      return { mood: "bad", title: "Server away", detail: "Trying again", cover: ["The server is away", "Trying again…"] };
    case "full":
      return { mood: "bad", title: "Server full", detail: "Waiting for a place", cover: ["Too many viewers", `${message} Waiting for a place…`.trim()] };
    case "refused":
      return { mood: "bad", title: "Refused", detail: message, cover: ["The server refuses the stream", message] };
    case "open":
      break;
    default:
      return { mood: "wait", title: "Connecting", detail: "", cover: ["Connecting…", ""] };
  }
  if (frozen) {
    return { mood: "bad", title: "No picture", detail: "Waiting for one", cover: ["No picture is coming", "The server answers, but sends nothing that can be shown."] };
  }
  const [mood, title] = STATES[state] || ["wait", "Connecting"];
  // The part and /state come at different times: a reason is shown only with the state it explains.
  const detail = camera !== null && camera.state === state ? camera.reason || camera.notice || "" : "";
  return { mood, title, detail, cover: null };
}

// A span in seconds, to be read at a glance: "4 s", "3 min 20 s", "2 h 5 min", "4 days 2 h". As in placeholders.
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  const days = Math.floor(s / 86400);
  return `${days} day${days > 1 ? "s" : ""} ${Math.floor(s / 3600) % 24} h`;
}

// An age in seconds: "0.04 s" while it matters, then as a span in whole, short units.
export function age(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(2)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

export function timeOfDay(ms) {
  return new Date(ms).toLocaleTimeString();
}

// For a file: "front_2026-11-20_14-03-22.jpg", in local time, as the server names its stills.
export function fileName(camera, ms) {
  const t = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const day = [t.getFullYear(), two(t.getMonth() + 1), two(t.getDate())].join("-");
  return `${camera}_${day}_${[t.getHours(), t.getMinutes(), t.getSeconds()].map(two).join("-")}.jpg`;
}
