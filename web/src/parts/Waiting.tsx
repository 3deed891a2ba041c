/** Before anything of the fabric is there to be shown. */
import { count } from "../words/format";
import { useGiven } from "./context";

export function Waiting() {
  const { past } = useGiven().fabric;
  return (
    <span>
      {past.wanted()
        ? past.trouble() || `Looking for the fabric at revision ${count(past.wanted())}…`
        : "Waiting for the first view of the fabric…"}
    </span>
  );
}
