/** What the address of a page names. */
import { useParams } from "@solidjs/router";
import { decoded } from "./readable";

/** Of the page's address, as they were named: `%20` is a space. */
export function useNames<T extends { [name: string]: string | undefined }>(): T {
  return new Proxy(useParams() as T, {
    get: (params, name) => {
      const text: unknown = Reflect.get(params, name);
      return typeof text === "string" ? decoded(text) : text;
    },
  });
}
