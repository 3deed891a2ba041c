import { expect, test } from "vitest";
import { turn } from "./fetched";

test.each([1, 2, 3, 4])("of %i rows the lowest comes first", (height) => {
  const width = 2;
  const data = Uint8ClampedArray.from({ length: width * height * 4 }, (_, at) => at);
  const rows = Array.from({ length: height }, (_, row) => [...data.slice(row * width * 4, (row + 1) * width * 4)]);
  turn({ width, height, data });
  expect([...data]).toEqual(rows.reverse().flat());
});
