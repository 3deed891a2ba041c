/**
 * The revision that is looked at stands in the address (`?at=`), so that a link shows the same. It is kept from page to
 * page: a link within the panel does not lead back to now by the way, only one's own wish does.
 */
import { useLocation, useSearchParams } from "@solidjs/router";
import { createEffect, on, onCleanup, untrack } from "solid-js";
import type { Past } from "./past";

/** While a slider is moved the address is left alone. */
const CALM_MS = 200;
/** Of what is no revision so much is repeated. */
const LONGEST = 40;

export function keepInAddress(past: Past): void {
  const location = useLocation();
  const [params, setParams] = useSearchParams<{ at?: string }>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let written = 0;
  const write = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      written = past.wanted();
      if (written !== shown()) setParams({ at: written || null }, { replace: true, scroll: false });
    }, CALM_MS);
  };
  const shown = () => {
    const number = Number(params.at);
    return Number.isSafeInteger(number) && number > 0 ? number : 0;
  };
  const wrong = () => (params.at && !shown() ? String(params.at).slice(0, LONGEST) : "");
  createEffect(
    on(wrong, (text) => {
      if (text) past.refuse(text);
      else if (!untrack(past.wanted)) past.back();
    }),
  );
  // Whoever goes back to now from there leaves it.
  createEffect(
    on(
      past.absent,
      (why) => {
        if (!why && wrong()) setParams({ at: null }, { replace: true, scroll: false });
      },
      { defer: true },
    ),
  );
  createEffect(
    on([() => location.pathname, shown], ([, inAddress]) => {
      const wanted = untrack(past.wanted);
      if (inAddress === wanted) return;
      if (inAddress && inAddress !== written) past.show(inAddress);
      else if (wanted) write();
    }),
  );
  createEffect(on(past.wanted, write, { defer: true }));
  onCleanup(() => clearTimeout(timer));
}
