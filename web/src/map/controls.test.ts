import { afterEach, expect, test, vi } from "vitest";
import { Controls, type Reactions } from "./controls";

class Host extends EventTarget {
  focus() {}
  setPointerCapture() {}
  getBoundingClientRect() {
    return { x: 0, y: 0, width: 400, height: 300 };
  }
}

afterEach(() => {
  vi.unstubAllGlobals();
});

function opened(chosen?: boolean) {
  vi.stubGlobal("addEventListener", () => {});
  const host = new Host();
  const seen = { x: 0, y: 0, zoom: 1, selected: 0, clicked: 0, marquee: false };
  const reactions = {
    pan: (x: number, y: number) => {
      seen.x += x;
      seen.y += y;
    },
    zoom: (_: unknown, factor: number) => {
      seen.zoom *= factor;
    },
    marquee: (box: unknown) => {
      seen.marquee = box !== undefined;
    },
    select: () => {
      seen.selected += 1;
    },
    click: () => {
      seen.clicked += 1;
    },
    hover: () => {},
    moving: (finger: boolean) => chosen ?? finger,
  };
  new Controls(host as unknown as HTMLElement, reactions as unknown as Reactions);
  const touch = (kind: string, pointerId: number, clientX: number, clientY: number) =>
    host.dispatchEvent(
      Object.assign(new Event(`pointer${kind}`), { pointerId, pointerType: "touch", button: 0, clientX, clientY }),
    );
  return { seen, touch };
}

test("one finger moves the map, or selects where the tool says so", () => {
  const moves = opened();
  moves.touch("down", 1, 10, 10);
  moves.touch("move", 1, 60, 30);
  moves.touch("up", 1, 60, 30);
  expect(moves.seen).toMatchObject({ x: 50, y: 20, selected: 0 });
  const selects = opened(false);
  selects.touch("down", 1, 10, 10);
  selects.touch("move", 1, 60, 30);
  expect(selects.seen.marquee).toBe(true);
  selects.touch("up", 1, 60, 30);
  expect(selects.seen).toMatchObject({ x: 0, y: 0, selected: 1, marquee: false });
});

test.each([undefined, false])("after a pinch the finger that stays moves the map from where it is", (chosen) => {
  const { seen, touch } = opened(chosen);
  touch("down", 1, 100, 100);
  touch("down", 2, 300, 100);
  touch("move", 2, 200, 100);
  expect(seen.zoom).toBeCloseTo(0.5);
  const { x } = seen;
  touch("up", 2, 200, 100);
  touch("move", 1, 102, 100);
  expect(seen.x - x).toBe(2);
  touch("up", 1, 102, 100);
  expect(seen).toMatchObject({ selected: 0, clicked: 0, marquee: false });
});
