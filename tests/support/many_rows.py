"""A fabric of any number of instances in the eyes of one page: for a test and a benchmark of long lists.

Nexus is real; only the first message of its live view is made larger, in the page, before the panel sees it.
"""

PART = 10_000
"""Instances of one message: Nexus sends a large state in parts too."""

_LARGER = """([many, size]) => {
  const Real = WebSocket;
  const other = (one, number, status) => {
    const id = `many.${number}.1`;
    return [id, { ...one, id, name: `many-${number}.1`, status }];
  };
  const larger = function* (frame) {
    const [one] = Object.values(frame.objects.instance);
    window.manyOne = one;
    for (let part = 1; part <= many / size; part += 1) {
      const from = (part - 1) * size;
      const numbers = Array.from({ length: size }, (_, index) => ((from + index) * 7919) % many);
      const instance = Object.fromEntries(
        numbers.map((number) => other(one, number, number % 1000 === 7 ? "failed" : "running")),
      );
      const objects = { ...(part === 1 ? frame.objects : {}), instance };
      yield JSON.stringify({ ...frame, part, parts: many / size, objects });
    }
  };
  window.WebSocket = class extends Real {
    #listener = null;
    // The panel takes over the socket that public/first.js opened, and asks for what hears it.
    get onmessage() {
      return this.#listener;
    }
    set onmessage(listener) {
      this.#listener = listener;
      super.onmessage = listener && ((event) => {
        const frame = JSON.parse(event.data);
        if (frame.kind !== "snapshot") listener(event);
        else {
          window.manyRevision = frame.revision;
          for (const data of larger(frame)) listener({ data });
        }
      });
      window.manyChange = (count, status) => {
        const numbers = Array.from({ length: count }, () => Math.floor(Math.random() * many));
        const instance = Object.fromEntries(numbers.map((number) => other(window.manyOne, number, status)));
        const frame = { kind: "patch", revision: window.manyRevision, time_ms: Date.now(), objects: { instance } };
        this.onmessage({ data: JSON.stringify(frame) });
      };
    }
  };
}"""


def many_rows(many: int) -> str:
    """A page's first script. They come in no order and are `many-0.1` to `many-{many - 1}.1`, each as the one that is
    there; those whose numbers end with 007 have failed. `window.manyChange(count, status)` changes some, as a message
    of Nexus would. `many` is a multiple of PART, and none of 7919."""
    return f"({_LARGER})({[many, PART]})"
