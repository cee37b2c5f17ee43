// Takes a stream of bytes apart into its parts.
//
// The framing is the one programs get: a boundary line, header lines, an empty line, Content-Length
// bytes of JPEG. Nothing is copied but the few bytes of a header: a picture is the list of the pieces
// it arrived in, and whoever draws it makes one Blob of them.

const HEADER_LIMIT = 4096; // bytes
const PICTURE_LIMIT = 64 * 1024 * 1024; // bytes

export class FramingError extends Error {}

export class Framing {
  #header = new Uint8Array(HEADER_LIMIT);
  #headerSize = 0;
  #fields = null; // of the part being read; null while its header is being read
  #pieces = [];
  #missing = 0; // bytes of the picture still to come

  // Yields every part that `chunk` (a Uint8Array) completes: {fields: Map, pieces: [Uint8Array]}.
  *feed(chunk) {
    let at = 0;
    while (at < chunk.length) {
      if (this.#fields === null) {
        at = this.#readHeader(chunk, at);
        continue;
      }
      const piece = chunk.subarray(at, at + this.#missing);
      this.#pieces.push(piece);
      this.#missing -= piece.length;
      at += piece.length;
      if (this.#missing === 0) {
        const part = { fields: this.#fields, pieces: this.#pieces };
        this.#fields = null;
        this.#pieces = [];
        yield part;
      }
    }
  }

  // Reads up to the empty line; returns where in `chunk` it stopped.
  #readHeader(chunk, at) {
    const header = this.#header;
    while (at < chunk.length) {
      if (this.#headerSize === HEADER_LIMIT) throw new FramingError("a part's header does not end");
      const size = (header[this.#headerSize] = chunk[at++], ++this.#headerSize);
      if (size > 3 && header[size - 1] === 10 && header[size - 2] === 13 && header[size - 3] === 10) {
        this.#fields = parseFields(new TextDecoder("latin1").decode(header.subarray(0, size)));
        this.#headerSize = 0;
        this.#missing = Number(this.#fields.get("content-length"));
        if (!(this.#missing > 0 && this.#missing <= PICTURE_LIMIT)) throw new FramingError("a part without a usable length");
        return at;
      }
    }
    return at;
  }
}

// The boundary line and the line end that closes the previous picture have no colon and fall out.
function parseFields(text) {
  const fields = new Map();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return fields;
}
