import Search from "lucide-solid/icons/search";
import { forgetAhead } from "../actions/ahead";
import { setPage } from "../actions/desk";

/** The two keys from which one finds all others, for whoever knows neither: and to press, where there is no keyboard. */
export function Hints() {
  return (
    <div class="hints">
      <button
        type="button"
        class="hint-find"
        aria-keyshortcuts="Control+K"
        title="Go to a page, agent, node or instance, or do something (Ctrl+K)"
        onClick={() => {
          forgetAhead();
          setPage("palette");
        }}
      >
        <Search size={14} aria-hidden="true" />
        <span class="hint-words">Find or do</span>
        <span class="kbd" aria-hidden="true">
          Ctrl+K
        </span>
      </button>
      <button
        type="button"
        class="hint-keys"
        aria-keyshortcuts="?"
        aria-label="Keys"
        title="All keys (?)"
        onClick={() => setPage("keys")}
      >
        <span class="kbd" aria-hidden="true">
          ?
        </span>
      </button>
    </div>
  );
}
