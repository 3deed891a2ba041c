import { A, useLocation } from "@solidjs/router";
import { decoded } from "../parts/readable";
import { useTitle } from "../parts/title";
import { visible } from "../words/format";

export function NotFound() {
  const location = useLocation();
  useTitle(() => "Not found");
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <span>
        Nothing is at <code>{visible(decoded(location.pathname))}</code>.
      </span>
      <A href="/overview">To the overview</A>
    </div>
  );
}
