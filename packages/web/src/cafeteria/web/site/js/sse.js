/** The text of an event stream to events, by the HTML standard (9.2.6). Pure. */

/** A function that takes the parts of one stream as they arrive, and gives the `StreamEvent`s that each completes. */
export function parser() {
  let rest = "";
  let isAfterCr = false;
  let id = null;
  let block = empty();

  return function feed(part) {
    const text = isAfterCr && part.startsWith("\n") ? part.slice(1) : part;
    isAfterCr = part.endsWith("\r");
    const lines = (rest + text).split(/\r\n|\n|\r/);
    rest = lines.pop();
    return lines.flatMap(take);
  };

  function take(line) {
    if (line !== "") return read(line);
    const event = { id, type: block.type || "message", data: block.data?.join("\n") ?? null };
    const isEvent = block.data !== null || block.hasId;
    block = empty();
    return isEvent ? [event] : [];
  }

  function read(line) {
    const colon = line.indexOf(":");
    const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (name === "data") (block.data ??= []).push(value);
    if (name === "event") block.type = value;
    if (name === "id" && !value.includes("\0")) [id, block.hasId] = [value, true];
    return [];
  }
}

function empty() {
  return { type: "", data: null, hasId: false };
}
