import StarIcon from "lucide-solid/icons/star";

export function Star(props: { name: string; on: boolean; onToggle(): void }) {
  return (
    <button
      type="button"
      class="star"
      aria-pressed={props.on}
      aria-label={`Favourite ${props.name}`}
      title="Favourites stand first"
      onClick={() => props.onToggle()}
    >
      <StarIcon size={13} aria-hidden="true" />
    </button>
  );
}
