import { createRoot, createSignal } from "solid-js";
import { expect, test } from "vitest";
import { createTurns, turn } from "./turn";

function parts(count: number) {
  return createRoot((end) => {
    const [ready, setReady] = createSignal(false);
    return { there: createTurns(ready, count), setReady, end };
  });
}

/** So many tasks later, and one more, in which what waited for the last has been done. */
async function turns(count: number): Promise<void> {
  for (let at = 0; at <= count; at += 1) await turn();
}

test("a page's parts come one by one once it is ready, each in a task of its own", async () => {
  const { there, setReady, end } = parts(3);
  await turns(5);
  expect(there()).toBe(0);
  setReady(true);
  const seen = new Set<number>();
  for (let at = 0; at < 8; at += 1) {
    seen.add(there());
    await turn();
  }
  expect([...seen]).toEqual([0, 1, 2, 3]);
  end();
});

test("a page that is not ready any more has no parts, and those on their way do not come", async () => {
  const { there, setReady, end } = parts(3);
  setReady(true);
  await turns(4);
  expect(there()).toBe(3);
  setReady(false);
  expect(there()).toBe(0);
  setReady(true);
  await turn();
  setReady(false);
  await turns(5);
  expect(there()).toBe(0);
  end();
});

test("a page that is ready anew begins from the first part, and only one round of them comes", async () => {
  const { there, setReady, end } = parts(3);
  setReady(true);
  await turns(2);
  setReady(false);
  setReady(true);
  const seen: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    if (seen.at(-1) !== there()) seen.push(there());
    await turn();
  }
  expect(seen).toEqual([0, 1, 2, 3]);
  end();
});

test("of a page that is gone no part comes", async () => {
  const { there, setReady, end } = parts(3);
  setReady(true);
  end();
  await turns(5);
  expect(there()).toBe(0);
});
