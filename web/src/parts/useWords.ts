/** What rows use against what was asked for, in words. */
import { count, percent } from "../words/format";

/** More is used than is set aside for it: what that is taken from was to be free for others. */
export function isOver(used: number | undefined, reserved: number): boolean {
  return used !== undefined && reserved > 0 && used > reserved;
}

/** `reserved`: 0 where nothing was asked for. `instances`: so many have it together. */
export function useWords(used: number, reserved: number, form: (value: number) => string, instances: number): string {
  const of = isOver(used, reserved)
    ? `${form(used)} used, ${form(reserved)} reserved`
    : reserved
      ? `${percent(used, reserved)} of what was asked for`
      : "nothing was asked for";
  return instances > 1 ? `${of}, ${count(instances)} instances together` : of;
}
